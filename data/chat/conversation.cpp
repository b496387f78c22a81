#include "data/chat/conversation.h"

namespace loragrad {
namespace {

/// A list, or one written as a string, as columns of tables have it.
Json list_column(const JsonRef& row, std::string_view key) {
  auto column = row.find(key);
  if (!column) return {};
  Json value =
      column->is_string() ? parse_json(column->string(), column->where() + ": " + column->path()) : column->json();
  JsonRef list(value, column->where() + ": " + column->path());
  if (list.is_null()) return {};
  if (!list.is_array()) column->fail("a list");
  for (const JsonRef& item : list.elements())
    if (!item.is_object()) item.fail("an object");
  return value;
}

void read_columns(const JsonRef& row, Conversation& conversation) {
  conversation.tools = list_column(row, "tools");
  conversation.documents = list_column(row, "documents");
  auto more = row.find("chat_template_kwargs");
  if (!more) return;
  for (const auto& [name, value] : more->members()) conversation.more.emplace_back(name, value.json());
}

/// As transformers hands it on: without members that are null, and with a reasoning under the names that templates read.
Json message(const JsonRef& json) {
  if (!json.is_object()) json.fail("a message: an object with role and content");
  json.at("role").string();
  if (auto content = json.find("content");
      content && !content->is_string() && !content->is_array() && !content->is_object())
    content->fail("a text, or a list of parts");
  Json::Object out;
  const Json* reasoning = nullptr;
  for (const char* name : {"reasoning_content", "thinking", "reasoning"})
    if (auto value = json.find(name); value && !reasoning) reasoning = &value->json();
  if (reasoning && !json.find("thinking")) out.emplace_back("thinking", *reasoning);
  for (const auto& [key, value] : json.members())
    if (!value.is_null()) out.emplace_back(key, value.json());
  Json made(std::move(out));
  if (reasoning) made.set("reasoning_content", *reasoning);
  return made;
}

Json turn(std::string_view role, std::string_view content) {
  return Json::Object{{"role", Json(role)}, {"content", Json(content)}};
}

std::string_view role_of(const JsonRef& from) {
  const std::string& name = from.string();
  if (name == "human" || name == "user") return "user";
  if (name == "gpt" || name == "assistant") return "assistant";
  if (name == "system") return "system";
  from.fail("human, user, gpt, assistant or system");
}

}  // namespace

Conversation conversation_of_messages(const JsonRef& row, std::string_view key) {
  Conversation conversation;
  JsonRef messages = row.at(key);
  for (const JsonRef& each : messages.elements()) conversation.messages.push_back(message(each));
  if (conversation.messages.empty()) messages.fail("at least one message");
  read_columns(row, conversation);
  return conversation;
}

Conversation conversation_of_share_gpt(const JsonRef& row) {
  JsonRef turns = row.at("conversations");
  std::vector<JsonRef> elements = turns.elements();
  if (!elements.empty() && elements[0].is_object() && elements[0].find("role"))
    return conversation_of_messages(row, "conversations");
  Conversation conversation;
  for (const JsonRef& each : elements)
    conversation.messages.push_back(turn(role_of(each.at("from")), each.at("value").string()));
  if (elements.empty()) turns.fail("at least one turn");
  read_columns(row, conversation);
  return conversation;
}

Conversation conversation_of_alpaca(const JsonRef& row) {
  Conversation conversation;
  std::string asked = row.at("instruction").string();
  if (auto input = row.find("input"); input && !input->string().empty()) asked += "\n\n" + input->string();
  conversation.messages = {turn("user", asked), turn("assistant", row.at("output").string())};
  read_columns(row, conversation);
  return conversation;
}

}  // namespace loragrad
