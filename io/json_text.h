#pragma once
#include <string>

#include "io/json.h"

namespace loragrad {

/// How append_json writes; Json::dump takes the first two from its caller.
struct JsonStyle {
  int indent = -1;
  bool sort_keys = false;
  bool ascii = true;
  bool finite = true;  // NumericError for inf and nan; else they are written as words, for messages only
};

/// Appends the text of `json`.
void append_json(std::string& out, const Json& json, const JsonStyle& style, int depth = 0);

}  // namespace loragrad
