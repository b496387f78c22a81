#pragma once
#include <string>

#include "io/json.h"

namespace loragrad::test {

/// golden/config.json, which tests/models/make_config_golden.py wrote.
inline Json config_golden() { return read_json_file("tests/models/golden/config.json"); }

/// The configuration with what a case of it sets and drops.
inline Json changed_config(Json config, const JsonRef& change) {
  if (auto set = change.find("set"))
    for (const auto& [key, value] : set->members()) config.set(key, value.json());
  if (auto drop = change.find("drop"))
    for (const std::string& key : drop->strings())
      std::erase_if(std::get<Json::Object>(config.value()), [&](const auto& member) { return member.first == key; });
  return config;
}

}  // namespace loragrad::test
