#pragma once
#include <functional>
#include <string>
#include <vector>

#include "app/flags/flags.h"

namespace loragrad {

/// One flag: how it is named and told, and how its variable is set and seen.
struct Flags::Entry {
  enum class Kind { toggle, number, text };

  std::string name, word, help;
  std::function<void(const std::string&)> set;
  std::function<std::vector<std::string>()> values;  ///< the variable's, as set() takes them; none where it has none
  Kind kind = Kind::text;
  std::string fallback;  ///< of help: the variable's value before parse()
  bool positional = false, required = false, repeated = false;
  std::vector<std::string> given;
  std::vector<std::string> places;  ///< of `given`, where a config file gave them
  bool repeats_default = false;     ///< the config file's value is what the flag had without it

  std::string label() const { return positional ? word : "--" + name; }
  bool is_toggle() const { return kind == Kind::toggle; }
};

}  // namespace loragrad
