// What of a conversation's text is an assistant's: the template says so, or it is found by what stays when the turn is
// replaced.
#include <fmt/format.h>

#include <algorithm>

#include "data/chat/chat_template.h"
#include "data/unicode.h"
#include "engine/error.h"
#include "io/utf8.h"

namespace loragrad {
namespace {

// Characters of private use that stand for a turn's content and for the end token.
const std::string content_mark = "\U000F4C31\U000F4C32", eos_mark = "\U000F4C33\U000F4C34";

std::string replaced(std::string text, std::string_view what, std::string_view with) {
  for (std::size_t at = 0; (at = text.find(what, at)) != std::string::npos; at += with.size())
    text.replace(at, what.size(), with);
  return text;
}

/// The content with the mark in place of its text: parts stay parts, as templates tell them apart.
Json marked_content(const Json* content) {
  if (content)
    if (const auto* parts = std::get_if<Json::Array>(&content->value()))
      for (const Json& part : *parts)
        if (part.find("text")) {
          Json marked = part;
          marked.set("text", content_mark);
          return Json::Array{marked};
        }
  return content_mark;
}

/// What both texts begin with.
std::string_view shared_start(std::string_view a, std::string_view b) {
  auto size = static_cast<std::size_t>(std::mismatch(a.begin(), a.end(), b.begin(), b.end()).first - a.begin());
  while (size < a.size() && size > 0 && continues_character(a[size])) --size;
  return a.substr(0, size);
}

/// Whether it ends within a word of one of them: the other's word only begins alike. What ends with a text is whole.
bool ends_within_word(std::string_view shared, std::string_view a, std::string_view b) {
  if (shared.empty() || shared.size() == a.size() || shared.size() == b.size()) return false;
  if (trailing_white_space(shared) > 0) return false;
  return leading_white_space(a.substr(shared.size())) == 0 || leading_white_space(b.substr(shared.size())) == 0;
}

std::string_view without_last_word(std::string_view text) {
  std::size_t end = text.size();
  while (end > 0 && trailing_white_space(text.substr(0, end)) == 0) do
      --end;
    while (end > 0 && continues_character(text[end]));
  return text.substr(0, end);
}

std::string_view without_white_space(std::string_view text) {
  return text.substr(0, text.size() - trailing_white_space(text));
}

}  // namespace

/// Finds the turns of one conversation.
class ChatTemplate::Supervisor {
 public:
  Supervisor(const ChatTemplate& source, const Conversation& conversation, const std::string& place)
      : source_(source), conversation_(conversation), place_(place) {
    for (const auto& [name, text] : source.tokenizer_->named_tokens())
      if (name == "eos_token") eos_ = text;
  }

  SupervisedText find(bool last_turn_only) {
    jinja::Rendering whole = source_.render(conversation_, false, place_);
    text_ = whole.text;
    std::vector<std::size_t> turns;
    for (std::size_t i = 0; i < conversation_.messages.size(); ++i)
      if (is_assistant(conversation_.messages[i])) turns.push_back(i);
    if (last_turn_only && turns.size() > 1) turns.erase(turns.begin(), turns.end() - 1);
    SupervisedText found{text_, {}};
    if (source_.source_.marks_generation() && !whole.lost_generation) {
      std::size_t from = last_turn_only && !turns.empty() ? begin_of(turns[0], marked_at(turns[0]), text_.size()) : 0;
      for (const TextSpan& span : whole.generation)
        if (span.end > std::max(from, span.begin)) found.spans.push_back({std::max(from, span.begin), span.end});
      if (!turns.empty() && found.spans.empty()) fail(turns[0], "{% generation %} around it, found no mark");
      return found;
    }
    for (std::size_t turn : turns) found.spans.push_back(span_of(turn));
    return found;
  }

 private:
  /// What stands before and behind a turn's content where that is marked.
  struct Marked {
    std::string before, behind;
  };

  static bool is_assistant(const Json& message) {
    const Json* role = message.find("role");
    const auto* name = role ? std::get_if<std::string>(&role->value()) : nullptr;
    return name && *name == "assistant";
  }
  [[noreturn]] void fail(std::size_t turn, const std::string& expected) const {
    throw InputError(fmt::format("{}: turn {}: expected a chat template ({}) with {}", place_, turn + 1,
                                 source_.source_.place(), expected));
  }
  Conversation first(std::size_t count) const {
    Conversation part = conversation_;
    part.messages.resize(count);
    return part;
  }
  std::string restored(std::string_view text) const { return replaced(std::string(text), eos_mark, eos_.value_or("")); }

  Marked marked(Conversation conversation, std::size_t turn) const {
    Json& message = conversation.messages[turn];
    message.set("content", marked_content(message.find("content")));
    std::string text = source_.render(conversation, false, place_, eos_ ? &eos_mark : nullptr).text;
    std::size_t at = text.find(content_mark);
    if (at == std::string::npos || text.find(content_mark, at + 1) != std::string::npos)
      fail(turn, at == std::string::npos ? "its content in the text, found it nowhere"
                                         : "its content in the text once, found it twice");
    return {text.substr(0, at), text.substr(at + content_mark.size())};
  }
  Marked marked_at(std::size_t turn) const { return marked(conversation_, turn); }

  /// Where the content ends in the text.
  std::size_t content_end(std::size_t turn, const Marked& mark) const {
    std::string behind = restored(mark.behind);
    if (!text_.ends_with(behind)) fail(turn, "one text behind it whatever it says, found another");
    return text_.size() - behind.size();
  }

  /// Behind what a model is given to go on from: the prompt for this turn, or else what stands before its content. It lies
  /// before `end`, and may lie within what follows an empty content.
  std::size_t begin_of(std::size_t turn, const Marked& mark, std::size_t end) const {
    auto begins = [&](const std::string& start) { return start.size() < end && text_.starts_with(start); };
    try {
      std::string prompt = source_.render(first(turn), true, place_).text;
      if (begins(prompt)) return prompt.size();
    } catch (const InputError&) {
      // Not every template has a prompt for the first turn.
    }
    std::string before = restored(mark.before);
    if (!begins(before)) fail(turn, "one text before it whatever it says, found another");
    return before.size();
  }

  /// What ends a turn: all that stands behind the last one, of another what stands there wherever the conversation ends.
  std::string closing_of(std::size_t turn, const Marked& mark) const {
    if (turn + 1 == conversation_.messages.size()) return restored(mark.behind);
    std::string last = marked(first(turn + 1), turn).behind;
    std::string_view shared = shared_start(mark.behind, last);
    if (!ends_within_word(shared, mark.behind, last)) return restored(shared);
    std::string words = restored(without_last_word(shared)), all = restored(shared);
    if (!without_white_space(words).empty()) return words;
    // Tokens that stand side by side are one word.
    return all.substr(0, source_.tokenizer_->added_token_at(all));
  }

  TextSpan span_of(std::size_t turn) const {
    Marked mark = marked_at(turn);
    std::size_t end = content_end(turn, mark);
    std::string closing = closing_of(turn, mark);
    std::size_t size = without_white_space(closing).size();
    if (size == 0) fail(turn, "an end of the turn behind its content, found none");
    return {begin_of(turn, mark, end + size), end + size};
  }

  const ChatTemplate& source_;
  const Conversation& conversation_;
  const std::string& place_;
  std::optional<std::string> eos_;
  std::string text_;
};

SupervisedText ChatTemplate::supervise(const Conversation& conversation, bool last_turn_only,
                                       const std::string& place) const {
  return Supervisor(*this, conversation, place).find(last_turn_only);
}

}  // namespace loragrad
