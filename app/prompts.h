#pragma once
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "data/chat/chat_template.h"
#include "data/tokenizer/tokenizer.h"
#include "models/config.h"

namespace loragrad {

/// A text to continue, and the adapter that its row chose ("": none by name).
struct Prompt {
  std::vector<TokenId> ids;
  std::string adapter = {};
};

/// The ids of the text of --prompt, or of another flag; an empty one is the model's beginning of a text. UsageError
/// where the model has none.
std::vector<TokenId> prompt_ids(const Tokenizer& tokenizer, const std::string& text, const ModelConfig& config,
                                const std::string& flag = "--prompt");

/// What opens the model's chat template, when the first conversation is met.
using OpenChat = std::function<ChatTemplate()>;

/// The rows {"prompt": TEXT, "adapter": one of `adapters`, null or absent} of a .jsonl file, in order, or with "messages"
/// instead of a prompt: the text that the assistant's next turn follows. InputError as FILE:LINE for the first prompt
/// that is empty where the model has no beginning of a text, or that leaves no position for a token to add; for another
/// adapter; and for a file without rows.
std::vector<Prompt> read_prompts(const std::string& path, const Tokenizer& tokenizer, const ModelConfig& config,
                                 const std::vector<std::string>& adapters, const OpenChat& open_chat);

/// The most tokens of a prompt.
std::int64_t longest_prompt(const std::vector<Prompt>& prompts);

}  // namespace loragrad
