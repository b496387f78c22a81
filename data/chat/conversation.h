#pragma once
#include <string>

#include "io/json.h"

namespace loragrad {

/// A conversation as a chat template sees it.
struct Conversation {
  Json::Array messages = {};        ///< objects with a role each; members that are null left out
  Json tools = {}, documents = {};  ///< null: none
  Json::Object more = {};           ///< other names that the row gives the template (chat_template_kwargs)
};

/// Rows of the three shapes that people have. InputError as FILE:LINE: KEY for another shape and for a speaker that is not
/// known; columns "tools" and "documents", lists or lists as a string of JSON, and "chat_template_kwargs" are the
/// template's.
/// {"messages": [{"role", "content", ...}]}
Conversation conversation_of_messages(const JsonRef& row, std::string_view key = "messages");
/// {"conversations": [{"from": human, user, gpt, assistant or system, "value"}]}; with roles, as messages.
Conversation conversation_of_share_gpt(const JsonRef& row);
/// {"instruction", "input", "output"}: the user says the instruction and, behind an empty line, the input, if any.
Conversation conversation_of_alpaca(const JsonRef& row);

}  // namespace loragrad
