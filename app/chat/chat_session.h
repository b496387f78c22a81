#pragma once
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "app/chat/chat_adapters.h"
#include "data/chat/chat_template.h"
#include "models/generate/generate.h"

namespace loragrad {

/// A conversation with a model: what was said, and the commands that change it.
class ChatSession {
 public:
  /// Shows a piece of an answer, or a command's text. All must outlive this.
  using Show = std::function<void(const std::string&)>;
  ChatSession(const CausalLm& model, const Tokenizer& tokenizer, const ChatTemplate& chat, ChatAdapters& adapters,
              const GenerateOptions& options);

  /// The answer to `text`, shown as it comes; SIGINT ends it, and what came stays. An error leaves the conversation as it
  /// was: InputError where the template refuses it, or the model has no position left.
  void answer(const std::string& text, const Show& show);
  /// A line that begins with "/". False for /quit.
  bool command(std::string_view line, const Show& show);
  static std::string help();

 private:
  std::vector<TokenId> prompt(const Conversation& conversation) const;
  void continue_from(const std::vector<TokenId>& ids, const std::function<bool(TokenId)>& on_token);
  void set_system(const std::string& text);

  const CausalLm& model_;
  const Tokenizer& tokenizer_;
  const ChatTemplate& chat_;
  ChatAdapters& adapters_;
  GenerateOptions options_;
  /// Has the keys of what the model has read and said so far; none after an error, and for other adapters.
  std::optional<BatchDecoder> decoder_;
  Conversation conversation_;  ///< a system message, if any, then turns of user and assistant
};

}  // namespace loragrad
