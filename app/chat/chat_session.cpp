#include "app/chat/chat_session.h"

#include <fmt/format.h>

#include <sstream>

#include "app/terminal/interrupt.h"
#include "app/terminal/text_stream.h"
#include "data/tokenizer/unknown_id.h"
#include "engine/error.h"
#include "io/message.h"

namespace loragrad {
namespace {

Json message(const char* role, const std::string& content) {
  return Json::Object{{"role", role}, {"content", content}};
}

std::string member(const Json& message, const char* key) { return std::get<std::string>(message.find(key)->value()); }

bool has_system(const Conversation& conversation) {
  return !conversation.messages.empty() && member(conversation.messages[0], "role") == "system";
}

std::vector<std::string> words_of(const std::string& text) {
  std::istringstream in(text);
  return {std::istream_iterator<std::string>(in), {}};
}

}  // namespace

ChatSession::ChatSession(const CausalLm& model, const Tokenizer& tokenizer, const ChatTemplate& chat,
                         ChatAdapters& adapters, const GenerateOptions& options)
    : model_(model), tokenizer_(tokenizer), chat_(chat), adapters_(adapters), options_(options) {}

std::string ChatSession::help() {
  return "/adapter               the adapters that are open; * are active\n"
         "/adapter NAME[:W] ...  make these active, each with weight W; a folder is opened\n"
         "/adapter none          the base alone\n"
         "/system [TEXT]         show the system message, or set it; none: without one\n"
         "/undo                  take back the last turn and its answer\n"
         "/help                  this\n"
         "/quit                  leave (or Ctrl-D)\n"
         "Ctrl-C ends an answer.\n";
}

std::vector<TokenId> ChatSession::prompt(const Conversation& conversation) const {
  std::vector<TokenId> ids = tokenizer_.encode(chat_.text(conversation, true, "the conversation"), false);
  expect_in_vocabulary(ids, model_.config().vocab_size, "the conversation", tokenizer_);
  auto size = static_cast<std::int64_t>(ids.size()), most = model_.config().max_position_embeddings;
  if (size >= most)
    throw InputError(
        fmt::format("the conversation: expected fewer tokens than the model's {} positions, found {} (/undo "
                    "takes back a turn)",
                    grouped(most), grouped(size)));
  return ids;
}

void ChatSession::answer(const std::string& text, const Show& show) {
  Conversation asked = conversation_;
  asked.messages.push_back(message("user", text));
  std::vector<TokenId> ids = prompt(asked);
  TextStream stream(tokenizer_, ids);
  std::string said;
  auto give = [&](const std::string& piece) {
    said += piece;
    if (!piece.empty()) show(piece);
  };
  continue_from(ids, [&](TokenId id) {
    give(stream.push(id));
    return interrupted_by() == 0;
  });
  give(stream.finish());
  conversation_ = std::move(asked);
  conversation_.messages.push_back(message("assistant", said));
}

/// What the conversation has in common with the one that was continued before is not read again.
void ChatSession::continue_from(const std::vector<TokenId>& ids, const std::function<bool(TokenId)>& on_token) {
  GenerateOptions options = options_;
  options.seed += conversation_.messages.size();  // not the same draws in every turn
  options.reuse_keys = true;
  std::int64_t most = most_tokens(model_, static_cast<std::int64_t>(ids.size()), options);
  try {
    if (decoder_)
      decoder_->reserve(most);
    else
      decoder_.emplace(model_, 1, most, adapters_.active());
    generate(*decoder_, ids, options, on_token);
  } catch (...) {
    decoder_.reset();
    throw;
  }
}

void ChatSession::set_system(const std::string& text) {
  Conversation changed = conversation_;
  Json::Array& messages = changed.messages;
  if (has_system(changed)) messages.erase(messages.begin());
  if (text != "none") {
    messages.insert(messages.begin(), message("system", text));
    Conversation asked = changed;
    asked.messages.push_back(message("user", "Hello"));
    chat_.text(asked, true, "the conversation");  // many a template has no place for it
  }
  conversation_ = std::move(changed);
}

bool ChatSession::command(std::string_view line, const Show& show) {
  std::size_t end = std::min(line.find(' '), line.size());
  std::string name(line.substr(0, end)), rest(line.substr(end));
  rest.erase(0, rest.find_first_not_of(' '));
  if (name == "/quit" || name == "/exit") return false;
  if (name == "/help") {
    show(help());
  } else if (name == "/adapter") {
    if (!rest.empty()) {
      adapters_.choose(words_of(rest));
      decoder_.reset();
    }
    show(rest.empty() ? adapters_.list_text() + "active: " + adapters_.active_text() + "\n"
                      : "adapter: " + adapters_.active_text() + "\n");
  } else if (name == "/system") {
    if (!rest.empty()) set_system(rest);
    show("system: " + (has_system(conversation_) ? member(conversation_.messages[0], "content") : "none") + "\n");
  } else if (name == "/undo") {
    std::size_t kept = has_system(conversation_) ? 1 : 0;
    if (conversation_.messages.size() <= kept) throw UsageError("/undo: expected a turn to take back, found none");
    std::string text = member(conversation_.messages[conversation_.messages.size() - 2], "content");
    conversation_.messages.resize(conversation_.messages.size() - 2);
    show("taken back: " + shortened(escaped(text, text.size()), 60) + "\n");
  } else {
    throw UsageError(
        fmt::format("{}: expected /adapter, /system, /undo, /help or /quit", shortened(escaped(name), 40)));
  }
  return true;
}

}  // namespace loragrad
