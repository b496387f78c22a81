#pragma once
#include <string>

#include "io/json.h"

namespace loragrad {

/// What is written for inf and nan, which JSON cannot say: a file of settings refuses them (NumericError), a result has
/// null beside the numbers that could be told, a message has the word.
enum class NotFinite { refuse, null, word };

/// How append_json writes; Json::dump takes the first two from its caller.
struct JsonStyle {
  int indent = -1;
  bool sort_keys = false;
  bool ascii = true;
  NotFinite not_finite = NotFinite::refuse;
};

/// Appends the text of `json`.
void append_json(std::string& out, const Json& json, const JsonStyle& style, int depth = 0);

/// A result on one line, as Json::dump writes it but for numbers that are not finite: those are null, so that one of
/// them never costs the others.
std::string result_text(const Json& json);

}  // namespace loragrad
