#include "data/jinja/template.h"

#include <algorithm>

#include "io/json.h"
#include "io/utf8.h"
#include "tests/io/support.h"

using namespace loragrad;
using namespace loragrad::test;

namespace {

const Json::Object& members(const JsonRef& json) { return std::get<Json::Object>(json.json().value()); }

/// Spans as characters.
std::vector<std::pair<std::int64_t, std::int64_t>> in_characters(const std::string& text,
                                                                 const std::vector<TextSpan>& spans) {
  auto count = [&](std::size_t end) {
    return std::count_if(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(end),
                         [](char c) { return !continues_character(c); });
  };
  std::vector<std::pair<std::int64_t, std::int64_t>> out;
  for (const TextSpan& span : spans) out.emplace_back(count(span.begin), count(span.end));
  return out;
}

std::string rendered(const std::string& source, const Json::Object& names = {}, const jinja::Limits& limits = {}) {
  return jinja::Template(source, "T").render(names, {}, limits).text;
}

/// Renders a chat as it stands in a file of them, and compares with what is there.
void check_chat(const jinja::Template& source, const Json::Object& names, const JsonRef& expected) {
  if (auto error = expected.find("error")) {
    CHECK_THROWS_WITH_AS(source.render(names, {}), doctest::Contains(error->string().c_str()), InputError);
    return;
  }
  jinja::Rendering got = source.render(names, {});
  CHECK(got.text == expected.at("text").string());
  auto spans = in_characters(got.text, got.generation);
  auto marked = expected.find("generation");
  if (!marked) return;
  REQUIRE(spans.size() == marked->size());
  for (std::size_t i = 0; i < spans.size(); ++i) {
    CHECK(spans[i].first == (*marked)[i][0].integer(0, 1 << 30));
    CHECK(spans[i].second == (*marked)[i][1].integer(0, 1 << 30));
  }
}

}  // namespace

TEST_CASE("templates print what Jinja prints") {
  Json file = read_json_file("tests/data/golden/jinja/cases.json");
  JsonRef root(file, "jinja.json");
  const Json::Object& names = members(root.at("names"));
  for (const JsonRef& each : root.at("cases").elements()) {
    const std::string& source = each.at("template").string();
    CAPTURE(source);
    if (each.find("error"))
      CHECK_THROWS_AS(rendered(source, names), InputError);
    else
      CHECK(rendered(source, names) == each.at("text").string());
  }
}

TEST_CASE("chats are rendered, and marked, as transformers does") {
  Json file = read_json_file("tests/data/golden/jinja/cases.json");
  JsonRef root(file, "jinja.json");
  for (const JsonRef& chat : root.at("chats").elements()) {
    jinja::Template source(chat.at("template").string(), "T");
    for (const JsonRef& each : chat.at("cases").elements()) {
      CAPTURE(each.json().dump());
      Json::Object names = members(each.at("names"));
      names.emplace_back("bos_token", "<s>");
      names.emplace_back("eos_token", "</s>");
      check_chat(source, names, each);
    }
  }
}

TEST_CASE("published templates give what transformers renders from them") {
  std::string path = shared("golden/chat/golden.json");
  if (path.empty()) return;
  Json file = read_json_file(path);
  for (const auto& [name, each] : JsonRef(file, "golden.json").members()) {
    jinja::Template source(get(shared("data/chat-templates/" + name + ".jinja")), name);
    for (const JsonRef& chat : each.at("cases").elements()) {
      const std::string& family = name;  // as clang 14 wants it for CAPTURE
      CAPTURE(family);
      CAPTURE(chat.json().dump());
      Json::Object names{{"messages", chat.at("messages").json()},
                         {"add_generation_prompt", chat.at("add_generation_prompt").json()},
                         {"tools", nullptr},
                         {"bos_token", "<s>"},
                         {"eos_token", "</s>"}};
      check_chat(source, names, chat);
    }
  }
}

TEST_CASE("an error says which line of the template, and what it found") {
  auto fails = [](const std::string& source, const char* message) {
    CAPTURE(source);
    CHECK_THROWS_WITH_AS(rendered(source), message, InputError);
  };
  fails("a\n{% if x %}\nb", "T: line 3: expected elif, found the end of the template");
  fails("\n\n{{ x.y.z }}", "T: line 3: expected a value with a y, found undefined (x)");
  fails("{{ 'a' | uper }}", "T: line 1: expected a filter that is known, found uper (nearest: upper)");
  fails("{{ 1 is strin }}", "T: line 1: expected a test that is known, found strin (nearest: string)");
  fails("{% macro f() %}\n{{ 1 + 'a' }}\n{% endmacro %}\n{{ f() }}",
        "T: line 2: expected operands that go together, found 1 + \"a\"");
  fails("{{ raise_exception('no system role') }}", "T: line 1: no system role");
  fails("{{ [].append(1) }}", "T: line 1: expected nothing that changes a value, found append of a list");
  fails("{% include 'x' %}", "T: line 1: expected a tag that chat templates have, found include");
  CHECK_THROWS_WITH_AS(jinja::Template("\xff", "T"), "T: expected a template in UTF-8, found other bytes", InputError);
}

TEST_CASE("a template that takes too much is stopped") {
  jinja::Limits limits{.steps = 10'000, .bytes = 100'000, .depth = 100};
  auto stops = [&](const std::string& source, const char* what) {
    CAPTURE(source.substr(0, 80));
    CHECK_THROWS_WITH_AS(rendered(source, {}, limits), doctest::Contains(what), InputError);
  };
  auto many = [](std::string_view text, int count) {
    std::string out;
    for (int i = 0; i < count; ++i) out += text;
    return out;
  };
  stops("{% for a in range(1000) %}{% for b in range(1000) %}{% endfor %}{% endfor %}", "10000 steps");
  stops("{{ 'a' * 1000000000000 }}", "bytes of text");
  stops("{% set n = namespace(x='aa') %}{% for i in range(100) %}{% set n.x = n.x + n.x %}{% endfor %}",
        "bytes of text");
  stops("{{ ('a' * 1000) | replace('', 'b' * 1000) }}", "bytes of text");
  stops("{{ range(999) | list | tojson(indent='a' * 1000) }}", "bytes of text");
  stops("{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}", "100 levels");
  stops("{% set n = namespace(x=[]) %}{% for i in range(900) %}{% set n.x = [n.x] %}{% endfor %}", "within each other");
  stops("{{ " + many("(", 100'000) + "1" + many(")", 100'000) + " }}", "within each other");
  stops("{{ 1" + many("+ 1", 100'000) + " }}", "in a chain");
  stops("{{ 1" + many("| abs", 100'000) + " }}", "in a chain");
  stops(many("{% if 1 %}", 1'000), "within each other");
  stops("{{ 'a'.center(1000000) }}", "steps");
  stops("{{ '%1000000d' % 5 }}", "a format");
  // What holds itself is freed all the same (the sanitizers look).
  CHECK(rendered("{% set n = namespace() %}{% set n.n = n %}{% macro f() %}{{ f }}{% endmacro %}{% set n.f = f %}a") ==
        "a");
}

TEST_CASE("a mark whose text goes through a macro is told") {
  jinja::Template source("{% macro f() %}a{% generation %}b{% endgeneration %}{% endmacro %}{{ f() }}", "T");
  CHECK(source.marks_generation());
  jinja::Rendering got = source.render({}, {});
  CHECK(got.text == "ab");
  CHECK(got.lost_generation);
  CHECK(got.generation.empty());
  CHECK(!jinja::Template("a", "T").marks_generation());
}

TEST_CASE("the day is the one that is given") {
  jinja::Template source("{{ strftime_now('%d %b %Y, %A') }}", "T");
  CHECK(source.render({}, {2023, 2, 9}).text == "09 Feb 2023, Thursday");
}
