#include "lora/config.h"

#include <cmath>

#include "lora/patterns.h"
#include "tests/lora/support.h"

using namespace loragrad;
using namespace loragrad::test;

TEST_CASE("targets are parsed and written") {
  CHECK(TargetModules::parse("q_proj, v_proj").names == std::vector<std::string>{"q_proj", "v_proj"});
  CHECK(TargetModules::parse("q_proj,v_proj").text() == "q_proj,v_proj");
  CHECK(TargetModules::parse("all-linear").kind == TargetModules::Kind::all_linear);
  CHECK(TargetModules::parse("all-linear").text() == "all-linear");
  CHECK(TargetModules::parse("regex:.*(q|v)_proj").pattern == ".*(q|v)_proj");
  CHECK(TargetModules::parse("regex:a,b").text() == "regex:a,b");
  for (const char* wrong : {"", "a,", ",a", "a,,b", "regex:", " "})
    CHECK(message_of<UsageError>([&] { TargetModules::parse(wrong); }).starts_with("target_modules: expected "));
}

TEST_CASE("the scale is alpha/r, with rsLoRA alpha/sqrt(r)") {
  LoraConfig config;
  CHECK(config.scaling() == 1);
  config.r = 16;
  config.lora_alpha = 40;
  CHECK(config.scaling() == 2.5);
  config.use_rslora = true;
  CHECK(config.scaling() == 10);
}

TEST_CASE("a configuration's values are checked") {
  auto message = [](auto change) {
    LoraConfig config;
    change(config);
    return message_of<UsageError>([&] { config.check(); });
  };
  CHECK(message([](auto& c) { c.r = largest_rank + 1; }) == "r: expected an integer in [1, 65536], found 65537");
  CHECK(message([](auto& c) { c.r = 0; }) == "r: expected an integer in [1, 65536], found 0");
  CHECK(message([](auto& c) { c.lora_alpha = NAN; }) == "lora_alpha: expected a finite number, found nan");
  CHECK(message([](auto& c) { c.lora_dropout = 1; }) == "lora_dropout: expected a number in [0, 1), found 1");
  CHECK(message([](auto& c) { c.lora_dropout = -0.1; }) == "lora_dropout: expected a number in [0, 1), found -0.1");
  CHECK(contains(message([](auto& c) { c.lora_dropout = NAN; }), "found nan"));
  CHECK(message([](auto& c) {
          c.rank_pattern = {{"a\nb", 0}};
        }) == "rank_pattern.a\\nb: expected an integer in [1, 65536], found 0");
  CHECK(contains(message([](auto& c) { c.alpha_pattern = {{"a", HUGE_VAL}}; }), "alpha_pattern.a: expected"));
}

TEST_CASE("name patterns match whole names") {
  NamePattern pattern("f", "q|q_proj");
  CHECK(pattern.matches("q"));
  CHECK(pattern.matches("q_proj"));  // the longer branch is tried, as by fullmatch
  CHECK_FALSE(pattern.matches("q_proj2"));
  CHECK_FALSE(pattern.matches("xq"));
  CHECK(message_of<UsageError>([] { NamePattern("f", "a(b\n"); })
            .starts_with("f: expected a regular expression as Python reads them, found \"a(b\\n\" (missing ), "
                         "unterminated subpattern at 2)"));
  NamePattern slow("f", "(a*)*(a*)*(a*)*[bd]");
  CHECK(contains(message_of<UsageError>([&] { slow.matches(std::string(60, 'a') + 'c'); }), "match limit"));
  CHECK(NamePattern("f", quoted_pattern("a.b+[c]")).matches("a.b+[c]"));
  CHECK_FALSE(NamePattern("f", quoted_pattern("a.b")).matches("axb"));
}

TEST_CASE("the first pattern that matches decides a module's rank and alpha") {
  LoraConfig config;
  config.r = 4;
  config.lora_alpha = 10;
  config.rank_pattern = {{"layers\\.1\\..*", 3}, {"down_proj", 2}};
  config.alpha_pattern = {{"q_proj", 7}};
  ModuleRanks ranks(config);
  CHECK(ranks.rank("model.layers.0.mlp.down_proj") == 2);
  CHECK(ranks.rank("model.layers.1.mlp.down_proj") == 3);
  CHECK(ranks.rank("model.layers.0.mlp.breakdown_proj") == 4);  // only after a dot
  CHECK(ranks.scale("model.layers.0.self_attn.q_proj") == 7.0 / 4);
  CHECK(ranks.scale("model.layers.0.mlp.down_proj") == 5);
  CHECK(ModuleRanks(config, ModuleRanks::Order::sorted).rank("model.layers.1.mlp.down_proj") == 2);
  config.rank_pattern = {{"a)|(b", 1}};
  CHECK(message_of<UsageError>([&] { ModuleRanks broken(config); }).starts_with("rank_pattern: expected a regular"));
}
