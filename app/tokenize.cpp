#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <iostream>

#include "app/commands.h"
#include "app/flags/chat_flags.h"
#include "app/flags/flags.h"
#include "app/inputs.h"
#include "app/terminal/console.h"
#include "engine/error.h"
#include "io/file_content.h"
#include "io/utf8.h"

namespace loragrad {

namespace {

/// Calls `take` with each line of stdin; what it throws gets the line's number, where it has none.
void for_each_input(const std::function<void(const JsonRef&)>& take) {
  std::string line;
  for (std::size_t number = 1; std::getline(std::cin, line); ++number) {
    std::string where = "stdin:" + std::to_string(number);
    if (number == 1 && !line.empty()) refuse_other_content(where, line, Content::json);
    Json json = parse_json(line, where);
    try {
      take(JsonRef(json, where));
    } catch (const InputError& error) {
      std::string message = error.what();
      throw message.starts_with(where) ? error : InputError(where + ": " + message);
    }
  }
  if (std::cin.bad()) throw IoError("stdin: cannot read");
}

Json numbers(const std::vector<TokenId>& ids) { return Json::Array(ids.begin(), ids.end()); }

/// Spans as characters.
Json character_spans(const SupervisedText& text) {
  Json::Array spans;
  auto characters = [&](std::size_t end) {
    return std::count_if(text.text.begin(), text.text.begin() + static_cast<std::ptrdiff_t>(end),
                         [](char byte) { return !continues_character(byte); });
  };
  for (const TextSpan& span : text.spans) spans.push_back(Json::Array{characters(span.begin), characters(span.end)});
  return spans;
}

void tokenize_chat(const JsonRef& row, const ChatTemplate& chat, const Tokenizer& tokenizer, bool last_turn_only) {
  Conversation conversation = conversation_of_messages(row);
  auto prompt = row.find("add_generation_prompt");
  bool goes_on = prompt && prompt->boolean();
  std::string place = row.where() + ": messages";
  SupervisedText text;
  if (goes_on)
    text.text = chat.text(conversation, true, place);
  else
    text = chat.supervise(conversation, last_turn_only, place);
  Json::Object out{{"text", text.text}, {"ids", numbers(tokenizer.encode(text.text, false))}};
  if (!goes_on) out.emplace_back("supervised", character_spans(text));
  print_json(out);
}

}  // namespace

int run_tokenize(const Words& words) {
  Flags flags(
      "tokenize",
      "Reads a JSON string per line on stdin; writes {\"ids\": [...], \"decoded\": \"...\"} per line on stdout.");
  std::string model;
  ChatFlags chat_flags;
  bool no_special = false, chat = false, last_turn_only = false, json = false;
  flags.text("model", model, "DIR", "a model folder with a tokenizer");
  flags.toggle("no-special", no_special, "add no special tokens (BOS and the like)");
  flags.toggle("chat", chat,
               "read {\"messages\": [...], \"add_generation_prompt\": false} and write {\"text\", \"ids\", "
               "\"supervised\": characters [begin, end) of the text}");
  chat_flags.add(flags);
  flags.toggle("last-turn-only", last_turn_only, "of a conversation, supervise the assistant's last turn alone");
  flags.toggle("json", json, "as ever: the output is JSON anyway");
  flags.require({"model"});
  if (!flags.parse(words)) return print(flags.help()), 0;
  for (const char* name : {"chat-template", "date", "last-turn-only"})
    if (!chat && flags.given(name)) throw UsageError(fmt::format("--{}: expected --chat beside it, found none", name));
  if (chat && no_special)
    throw UsageError(
        "--no-special: expected no --chat beside it: a conversation gets no other tokens than its text has");
  model = needed_folder(model, "");
  Tokenizer tokenizer = open_tokenizer(model);
  if (chat) {
    ChatTemplate source = chat_flags.open(model, tokenizer);
    for_each_input([&](const JsonRef& row) { tokenize_chat(row, source, tokenizer, last_turn_only); });
    return 0;
  }
  for_each_input([&](const JsonRef& text) {
    std::vector<TokenId> ids = tokenizer.encode(text.string(), !no_special);
    print_json(Json::Object{{"ids", numbers(ids)}, {"decoded", tokenizer.decode(ids)}});
  });
  return 0;
}

}  // namespace loragrad
