#include "io/gguf.h"

#include <cmath>

#include "tests/io/support.h"

using namespace loragrad;
using namespace loragrad::test;

namespace {

using Metadata = std::vector<std::pair<std::string, GgufValue>>;

}  // namespace

TEST_CASE("a GGUF file there and back") {
  TempFolder folder;
  std::string path = folder / "a.gguf";
  write_gguf(path, {{"name", "Zoë"}, {"alpha", 1.5}}, {{"a", {1, 3}, {1, 2, 3}}, {"b", {2}, {-4, 5}}});
  CHECK(is_gguf(path));
  GgufFile file = open_gguf(path);
  CHECK(file.text("name") == "Zoë");
  CHECK(file.number("alpha") == 1.5);
  REQUIRE(file.tensors.size() == 2);
  CHECK(file.tensors[0].shape == std::vector<std::int64_t>{1, 3});
  CHECK(file.tensors[1].shape == std::vector<std::int64_t>{2});
  CHECK(reinterpret_cast<const float*>(file.tensors[1].bytes)[1] == 5);
}

TEST_CASE("a key or a tensor that a GGUF file has twice") {
  TempFolder folder;
  std::string path = folder / "a.gguf";
  for (const GgufValue& second : {GgufValue(7.0), GgufValue("seven")}) {
    write_gguf(path, {{"alpha", 7.0}, {"other", 1.0}, {"alpha", second}}, {});
    CHECK(message_of<InputError>([&] { open_gguf(path); }) == path + ": alpha: expected one value of a key, found two");
  }
  write_gguf(path, {}, {{"a", {1}, {1}}, {"a", {1}, {2}}});
  CHECK(message_of<InputError>([&] { open_gguf(path); }) == path + ": a: expected one tensor of a name, found two");
}

TEST_CASE("the alignment of a GGUF file") {
  TempFolder folder;
  std::string path = folder / "a.gguf";
  auto with = [&](const GgufValue& value) { write_gguf(path, Metadata{{"general.alignment", value}}, {}); };
  for (double value : {1.0, 3.0, 1048576.0}) {
    with(value);
    CHECK(open_gguf(path).number("general.alignment") == value);
  }
  for (const auto& [refused, text] : std::vector<std::pair<double, std::string>>{{0, "0"},
                                                                                 {-32, "-32"},
                                                                                 {0.5, "0.5"},
                                                                                 {32.5, "32.5"},
                                                                                 {1048577, "1048577"},
                                                                                 {0x1p100, ""},
                                                                                 {INFINITY, "inf"},
                                                                                 {-INFINITY, "-inf"},
                                                                                 {NAN, "nan"}}) {
    with(refused);
    CHECK(contains(message_of<InputError>([&] { open_gguf(path); }),
                   path + ": general.alignment: expected a whole number in [1, 2^20], found " + text));
  }
  with("32");
  CHECK(contains(message_of<InputError>([&] { open_gguf(path); }), "general.alignment: expected a number"));
}
