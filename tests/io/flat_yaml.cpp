#include "io/flat_yaml.h"

#include "tests/io/support.h"

using namespace loragrad;
using namespace loragrad::test;

namespace {

std::string refusal(std::string_view text) {
  return message_of<UsageError>([&] { parse_yaml(text, "x.yaml"); });
}

}  // namespace

TEST_CASE("yaml: a flat mapping of scalars and lists, with their places") {
  auto entries =
      parse_yaml("# run\nrank: 8\n\"lr\": 5e-4\ntexts: [a, 'b c']\nmore:\n  - |\n    two\n    lines\nnone:\n", "x");
  REQUIRE(entries.size() == 5);
  CHECK(entries[0].key.text == "rank");
  CHECK(entries[0].values[0].text == "8");
  CHECK(entries[0].values[0].plain);
  CHECK(yaml_place("x", entries[0].values[0]) == "x: line 2, column 7");
  CHECK(entries[1].key.text == "lr");
  CHECK(entries[2].is_list);
  CHECK(entries[2].values[0].plain);
  CHECK(entries[2].values[1].text == "b c");
  CHECK(!entries[2].values[1].plain);
  CHECK(entries[3].values[0].text == "two\nlines\n");
  CHECK(entries[4].values[0].text == "");
  CHECK(entries[4].values[0].plain);
  CHECK(parse_yaml("", "x").empty());
  CHECK(parse_yaml("# nothing\n---\n", "x").empty());
  CHECK(parse_yaml("list: []", "x")[0].values.empty());
}

TEST_CASE("yaml: all else is refused, with line and column") {
  CHECK(refusal("a: 1\nb: 2\na: 3\n") == "x.yaml: line 3, column 1: a: expected once, found again (first in line 1)");
  CHECK(refusal("a: {b: 1}") == "x.yaml: line 1, column 4: a: expected a value, found a mapping");
  CHECK(refusal("a: [[1]]") == "x.yaml: line 1, column 5: a: expected a value in the list, found a list");
  CHECK(refusal("a: &x 1") == "x.yaml: line 1, column 4: expected a plain value, found an anchor");
  CHECK(refusal("a: *x") == "x.yaml: line 1, column 4: a: expected a value, found an alias");
  CHECK(refusal("a: !!int 1") == "x.yaml: line 1, column 4: expected a plain value, found a tag");
  CHECK(refusal("&m {a: 1}") == "x.yaml: line 1, column 1: expected a plain value, found an anchor");
  CHECK(refusal("[a, b]") == "x.yaml: line 1, column 1: expected keys and values, found a list");
  CHECK(refusal("rank 8") == "x.yaml: line 1, column 1: expected keys and values, found a value alone");
  CHECK(refusal("a: 1\n---\nb: 2\n") == "x.yaml: line 2, column 1: expected one document, found another");
  CHECK(refusal("[a]: 1").starts_with("x.yaml: line 1, column 1: expected "));
  CHECK(refusal("? {a: 1}\n: 2").starts_with("x.yaml: line 1, column 3: expected a key, found a mapping"));
  CHECK(
      refusal("a: 1\n b: 2\n").starts_with("x.yaml: line 2, column 3: expected YAML: mapping values are not allowed"));
  CHECK(refusal("a: 'b").starts_with("x.yaml: line 1, column 6: expected YAML: "));
  CHECK(refusal("a: \xff").starts_with("x.yaml: byte 3: expected YAML in UTF-8: "));
  CHECK(refusal("a: \x01").starts_with("x.yaml: byte 3: expected YAML in UTF-8: "));
  // Depth costs neither stack nor time.
  CHECK(refusal("a: " + std::string(100000, '[')) ==
        "x.yaml: line 1, column 5: a: expected a value in the list, found a list");
}

TEST_CASE("yaml: a text reads back as it was") {
  for (std::string text :
       {"", "a b", "true", "12", "a: b # c", "\"\\'", "two\nlines\r\t", "Zo\xc3\xab \xf0\x9f\x98\x80",
        "\xe2\x80\xa8\xc2\x85", "\xef\xbb\xbf", "\x01\x7f", "\xef\xbf\xbe\xf0\x9f\xbf\xbf", " spaces "}) {
    auto entries = parse_yaml("key: " + yaml_text(text) + "\n", "x");
    CHECK(entries[0].values[0].text == text);
    CHECK(!entries[0].values[0].plain);
  }
}
