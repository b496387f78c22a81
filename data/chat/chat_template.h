#pragma once
// Threads: after it has been made it is only read, by any number at a time.
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "data/chat/conversation.h"
#include "data/jinja/template.h"
#include "data/tokenizer/tokenizer.h"

namespace loragrad {

/// A conversation's text, and the bytes of it that a model is to learn: what assistants say, with the end of their turn.
struct SupervisedText {
  std::string text;
  std::vector<TextSpan> spans;  ///< in order, none within another
};

/// How a model's conversations are written as text (docs/design/021-chat.md).
class ChatTemplate {
 public:
  /// `file`, or without one the model folder's: chat_template.jinja, else tokenizer_config.json's chat_template, of a
  /// list the one that is named "default". InputError that names --chat-template where there is none, and for what is no
  /// template. `tokenizer` gives bos_token and its like, and must outlive this.
  static ChatTemplate open(const std::string& folder, const std::optional<std::string>& file,
                           const Tokenizer& tokenizer, const jinja::Date& date);
  ChatTemplate(jinja::Template source, const Tokenizer& tokenizer, const jinja::Date& date);

  /// The conversation's text, or with `goes_on` the text that an assistant's turn is to follow. `place` is for messages:
  /// InputError("PLACE: ...") for an error that the template raises.
  std::string text(const Conversation& conversation, bool goes_on, const std::string& place) const;
  /// The text, with what is to be learnt of it: the turns of the role "assistant", or the last of them alone. InputError
  /// as above, and with the turn where the template hides where it begins or how it ends.
  SupervisedText supervise(const Conversation& conversation, bool last_turn_only, const std::string& place) const;

 private:
  class Supervisor;
  jinja::Rendering render(const Conversation& conversation, bool goes_on, const std::string& place,
                          const std::string* eos = nullptr) const;

  jinja::Template source_;
  const Tokenizer* tokenizer_;
  jinja::Date date_;
};

/// "2024-07-26" as a day; nullopt for what is none.
std::optional<jinja::Date> day_of(std::string_view text);

}  // namespace loragrad
