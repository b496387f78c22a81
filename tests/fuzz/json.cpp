#include "io/json.h"

#include "tests/fuzz/target.h"

void loragrad::fuzz::read(std::string_view input) {
  Json json = parse_json(input, "input");
  std::string text = json.dump();
  expect(parse_json(text, "again").dump() == text);
}
