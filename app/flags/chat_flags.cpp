#include "app/flags/chat_flags.h"

namespace loragrad {

void ChatFlags::add(Flags& flags) {
  flags.text("chat-template", chat_template, "FILE", "a Jinja template for conversations (default: the model's own)");
  auto is_day = [](const std::string& text) { return day_of(text).has_value(); };
  flags.word("date", date, "YYYY-MM-DD", is_day, "a day such as 2024-07-26", "the day that a chat template sees");
}

ChatTemplate ChatFlags::open(const std::string& folder, const Tokenizer& tokenizer) const {
  return ChatTemplate::open(folder, chat_template, tokenizer, *day_of(date));
}

}  // namespace loragrad
