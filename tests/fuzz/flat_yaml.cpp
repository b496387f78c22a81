#include "io/flat_yaml.h"

#include "tests/fuzz/target.h"

void loragrad::fuzz::read(std::string_view input) {
  for (const YamlEntry& entry : parse_yaml(input, "input"))
    for (const YamlScalar& value : entry.values) {
      auto again = parse_yaml("key: " + yaml_text(value.text), "again");
      expect(again.at(0).values.at(0).text == value.text);
    }
}
