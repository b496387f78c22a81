#include "lora/matching.h"

#include "io/nearest.h"
#include "tests/lora/support.h"

using namespace loragrad;
using namespace loragrad::test;

namespace {

std::vector<std::string> matched(const TargetModules& targets, const std::vector<LinearShape>& all) {
  return names_of(match_targets(targets, all));
}
std::string refusal(const TargetModules& targets) {
  return message_of<UsageError>([&] { match_targets(targets, llama_shapes()); });
}

}  // namespace

TEST_CASE("a list entry is a full name or an end after a dot") {
  auto all = llama_shapes();
  CHECK(matched({"v_proj", "q_proj"}, all) ==
        std::vector<std::string>{"model.layers.0.self_attn.q_proj", "model.layers.0.self_attn.v_proj",
                                 "model.layers.1.self_attn.q_proj", "model.layers.1.self_attn.v_proj"});
  CHECK(matched({"model.layers.1.mlp.up_proj"}, all) == std::vector<std::string>{"model.layers.1.mlp.up_proj"});
  CHECK(matched({"1.mlp.up_proj", "up_proj"}, all).size() == 2);
  CHECK(matched({"head"}, {{"head", 1, 1}, {"a.head", 1, 1}, {"a.xhead", 1, 1}, {"headx", 1, 1}, {"ead", 1, 1}}) ==
        std::vector<std::string>{"head", "a.head"});
  // Not in the middle of a word, and no regular expression.
  CHECK(contains(refusal({"proj"}), "found \"proj\", which matches none"));
  CHECK(contains(refusal({"q.proj"}), "found \"q.proj\", which matches none"));
  CHECK(contains(refusal({".*"}), "which matches none"));
}

TEST_CASE("a pattern matches whole names, all-linear everything") {
  auto all = llama_shapes();
  CHECK(matched(TargetModules::parse("regex:.*\\.1\\..*(k_proj|up_proj)"), all) ==
        std::vector<std::string>{"model.layers.1.self_attn.k_proj", "model.layers.1.mlp.up_proj"});
  CHECK(contains(refusal(TargetModules::parse("regex:q_proj")), "which matches none (the model has q_proj, k_proj, "));
  CHECK(contains(refusal(TargetModules::parse("regex:model.*q_pro")), "pattern for whole names"));
  CHECK(contains(refusal(TargetModules::parse("regex:(")),
                 "expected a regular expression as Python reads them, found \"(\""));
  CHECK(matched(TargetModules::parse("all-linear"), all) == names_of(all));
  CHECK(contains(message_of<UsageError>([] { match_targets(TargetModules::parse("all-linear"), {}); }), "found none"));
  CHECK(refusal({}) == "target_modules: expected at least one module's name, found none");
}

TEST_CASE("one name among several that matches nothing is an error with the nearest names") {
  CHECK(refusal({"q_proj", "vproj"}) ==
        "target_modules: expected a module's name or its end after a dot, found \"vproj\", which matches none "
        "(nearest: v_proj, q_proj, k_proj)");
  CHECK(contains(refusal({"self_atn.q_proj"}), "(nearest: self_attn.q_proj, "));
  CHECK(contains(refusal({"something.else.entirely"}), "(the model has "));
}

TEST_CASE("edit distance counts insertions, deletions, replacements and swaps") {
  CHECK(edit_distance("", "") == 0);
  CHECK(edit_distance("", "abc") == 3);
  CHECK(edit_distance("abc", "") == 3);
  CHECK(edit_distance("kitten", "sitting") == 3);
  CHECK(edit_distance("abcd", "abdc") == 1);
  CHECK(edit_distance("qproj", "q_proj") == 1);
  CHECK(nearest_names("rankk", {"alpha", "rank", "rank", "ranks"}, 2) == std::vector<std::string>{"rank", "ranks"});
  CHECK(nearest_names("x", {"abcdef"}).empty());
  CHECK(nearest_text("lrr", {"lr", "seed"}) == " (nearest: lr)");
  CHECK(nearest_text("x", {}) == "");
}
