#include "io/message.h"

#include "io/tensor_complaints.h"
#include "tests/io/support.h"

using namespace loragrad;
using namespace loragrad::test;

namespace {

std::vector<std::string> numbered(const std::string& name, int count) {
  std::vector<std::string> names;
  for (int i = 0; i < count; ++i) names.push_back(name + std::to_string(i));
  return names;
}

}  // namespace

TEST_CASE("shortened keeps start and end, at boundaries of characters") {
  CHECK(shortened("abcdefgh", 8) == "abcdefgh");
  CHECK(shortened("abcdefghi", 8) == "abc...hi");
  CHECK(shortened("abcdefghi", 2) == "...");
  CHECK(shortened("éééééé", 9) == "é...é");  // 6 bytes are kept of 12: one character and a half at each end
}

TEST_CASE("a list names ten and counts the others") {
  CHECK(list_text({}) == "");
  CHECK(list_text({"a", "b"}, 240, "; ") == "a; b");
  CHECK(list_text(numbered("t", 10)) == "t0, t1, t2, t3, t4, t5, t6, t7, t8, t9");
  CHECK(list_text(numbered("t", 11)) == "t0, t1, t2, t3, t4, t5, t6, t7, t8, t9 and 1 more");
  CHECK(list_text(numbered("t", 1'234'567)).ends_with("t9 and 1,234,557 more"));
  // Long ones are fewer; one is always there, however long.
  CHECK(list_text(numbered(std::string(50, 'x'), 20), 120) ==
        std::string(50, 'x') + "0, " + std::string(50, 'x') + "1 and 18 more");
  std::string one = list_text({std::string(1000, 'x'), "y"}, 100);
  CHECK(one.size() < 200);
  CHECK(one.ends_with("xxx and 1 more"));
  CHECK(list_text({"a\nb"}) == "a\\nb");
}

TEST_CASE("a line is escaped and bounded: words first, then what is quoted, then the middle") {
  CHECK(line_text("a: \"b\"\n") == "a: \"b\"\\n");
  std::string path = "/" + std::string(3000, 'p') + "/config.json", command = "python3 -c \"" + std::string(150, 'c');
  for (std::size_t i = 15; i < command.size(); i += 20) command[i] = ' ';
  std::string line = line_text(path + ": expected a key, found none: " + command + "\"");
  CHECK(line.size() <= longest_line);
  CHECK(line.starts_with("/ppp"));
  CHECK(contains(line, "/config.json: expected a key, found none: " + command));  // only the path had to give way
  line = line_text("f: expected \"" + path + " " + command + command + "\", found 3");
  CHECK(line.size() <= longest_line);
  CHECK(line.starts_with("f: expected \""));
  CHECK(line.ends_with("\", found 3"));
  std::string words = "f: expected ";
  for (int i = 0; i < 200'000; ++i) words += "é ";
  line = line_text(words + "found 3");
  CHECK(line.size() <= longest_line);
  CHECK(line.starts_with("f: expected "));
  CHECK(line.ends_with("found 3"));
  CHECK(line.find("\\x") == std::string::npos);
}

TEST_CASE("complaints about tensors are one bounded text with every kind") {
  TensorComplaints complaints;
  CHECK(complaints.text() == "");
  complaints.unexpected("c");
  complaints.shape("d", "[4, 4]", "[4, 5]");
  CHECK(complaints.text() == "unexpected: c; of another shape: d (expected [4, 4], found [4, 5])");
  for (int i = 0; i < 100'000; ++i) complaints.missing("model.layers." + std::to_string(i) + ".mlp.up_proj.weight");
  std::string text = complaints.text();
  CHECK(text.size() < 300);
  CHECK(text.starts_with("missing: model.layers.0.mlp.up_proj.weight, "));
  CHECK(contains(text, " more; unexpected: c; of another shape: d ("));
}
