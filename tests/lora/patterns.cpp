#include "lora/patterns.h"

#include "engine/error.h"
#include "io/json.h"
#include "tests/lora/support.h"

using namespace loragrad;
using namespace loragrad::test;

namespace {

/// '+' and '-' of each name; "" for a refusal.
std::string marks(const JsonRef& names, const std::function<std::function<bool(const std::string&)>()>& compile) {
  std::string result;
  try {
    auto matches = compile();
    for (const std::string& name : names.strings()) result += matches(name) ? '+' : '-';
  } catch (const UsageError&) {
    return "";
  }
  return result;
}

std::string marks(const JsonRef& names, const std::string& pattern) {
  return marks(names, [&] {
    auto compiled = std::make_shared<NamePattern>("p", pattern);
    return [compiled](const std::string& name) { return compiled->matches(name); };
  });
}

std::string marks_as_key(const JsonRef& names, const std::string& key) {
  return marks(names, [&] {
    LoraConfig config;
    config.rank_pattern = {{key, 5}};
    auto ranks = std::make_shared<ModuleRanks>(config);
    return [ranks](const std::string& name) { return ranks->rank(name) == 5; };
  });
}

}  // namespace

TEST_CASE("patterns match what Python's re matches, and what it refuses is refused") {
  Json json = read_json_file("tests/lora/golden/regex.json");
  JsonRef golden(json, "regex.json");
  int compared = 0, refused = 0;
  for (const JsonRef& row : golden.at("results").elements()) {
    std::string pattern = row[0].string(), whole = row[1].string(), key = row[2].string();
    INFO(pattern);
    CHECK(marks(golden.at("names"), pattern) == whole);
    // A key has to be a pattern by itself, too.
    if (!whole.empty()) CHECK(marks_as_key(golden.at("names"), pattern) == key);
    ++(whole.empty() ? refused : compared);
  }
  CHECK(compared > 150);
  CHECK(refused > 150);
}

TEST_CASE("what Python reads and we do not is refused with the reason") {
  auto refusal = [](const std::string& pattern) {
    return message_of<UsageError>([&] { NamePattern refused("target_modules", pattern); });
  };
  CHECK(contains(refusal("a\\N{DIGIT ONE}"), "found \"a\\N{DIGIT ONE}\" (bad escape \\N"));
  CHECK(contains(refusal("(?i)\xc4\xb0"), "whose case is ignored"));
  CHECK(contains(refusal("(?i)[a-\xc4\xb0]"), "whose case is ignored"));
  CHECK(contains(refusal("(?P<\xc3\xa9>a)"), "bad character in group name"));
  CHECK(contains(refusal("a\xff"), "no UTF-8 at byte 1"));
  CHECK(contains(refusal("a{70000}"), "(number too big in {} quantifier)"));
  CHECK(contains(refusal(std::string(5000, '(') + std::string(5000, ')')), "too many parentheses"));
  std::string conditions = "(a)";
  for (int i = 0; i < 5000; ++i) conditions += "(?(1)";
  CHECK(contains(refusal(conditions), "too many parentheses"));
  CHECK(contains(refusal("(?:a"), "(missing ), unterminated subpattern at 3)"));
  // In PCRE2's words, which differ from version to version.
  CHECK(contains(refusal("a(?<=(?:a*){0}a)a"), "lookbehind assertion"));
}

TEST_CASE("a named group says what it matched") {
  NamePattern pattern("p", R"((?:^|.*?\.)(layers|h)\.(?P<idx>\d+)\.|(?P<other>x))", NamePattern::Extent::start);
  CHECK(pattern.group("model.layers.12.mlp.up_proj", "idx") == "12");
  CHECK(pattern.group("h.3.a.h.4.b", "idx") == "3");
  CHECK_FALSE(pattern.group("model.layers.12.mlp.up_proj", "other").has_value());
  CHECK_FALSE(pattern.group("model.layers.12.mlp.up_proj", "none").has_value());
  CHECK_FALSE(pattern.group("lm_head", "idx").has_value());
}
