#include "io/fnv.h"

#include "tests/io/support.h"

using namespace loragrad;
using namespace loragrad::test;

TEST_CASE("FNV-1a of known texts") {
  auto hash = [](std::string_view text) {
    Fnv1a fnv;
    fnv.add(text);
    return fnv.value();
  };
  CHECK(hash("") == 0xcbf29ce484222325u);
  CHECK(hash("a") == 0xaf63dc4c8601ec8cu);
  CHECK(hash("foobar") == 0x85944171f73967e8u);
  Fnv1a number;
  number.add_number(std::uint32_t{0x6f6f66});
  CHECK(number.value() == hash(std::string_view("foo\0", 4)));
}

TEST_CASE("a file's hash is its bytes'") {
  TempFolder folder;
  std::string text(700'001, 'x');
  text[600'000] = 'y';
  put(folder / "f", text);
  Fnv1a fnv;
  fnv.add(text);
  CHECK(file_hash(folder / "f") == fnv.text());
  CHECK(contains(message_of<IoError>([&] { file_hash(folder / "none"); }), "none: cannot read"));
}
