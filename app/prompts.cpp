#include "app/prompts.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "data/jsonl.h"
#include "data/row_adapter.h"
#include "data/tokenizer/unknown_id.h"
#include "engine/error.h"

namespace loragrad {
namespace {

constexpr const char* no_beginning = "a text, as the model has no bos_token_id in its vocabulary";

/// `ids`, or the beginning of a text where they are none and the model has one. `place` is for messages.
std::vector<TokenId> checked(std::vector<TokenId> ids, const Tokenizer& tokenizer, const ModelConfig& config,
                             const std::string& place) {
  expect_in_vocabulary(ids, config.vocab_size, place, tokenizer);
  if (ids.empty() && config.bos_token_id) ids.push_back(*config.bos_token_id);
  return ids;
}

}  // namespace

std::vector<TokenId> prompt_ids(const Tokenizer& tokenizer, const std::string& text, const ModelConfig& config,
                                const std::string& flag) {
  std::vector<TokenId> ids = checked(tokenizer.encode_prompt(text), tokenizer, config, flag);
  if (ids.empty()) throw UsageError(fmt::format("{}: expected {}, found \"\"", flag, no_beginning));
  return ids;
}

std::vector<Prompt> read_prompts(const std::string& path, const Tokenizer& tokenizer, const ModelConfig& config,
                                 const std::vector<std::string>& adapters, const OpenChat& open_chat) {
  std::vector<Prompt> prompts;
  std::optional<ChatTemplate> chat;
  for_each_line(read_data_text(path), path, [&](const JsonRef& row, std::string_view) {
    bool talks = row.is_object() && row.find("messages") && !row.find("prompt");
    JsonRef text = row.at(talks ? "messages" : "prompt");
    std::string place = fmt::format("{}: {}", row.where(), text.path());
    std::vector<TokenId> ids;
    if (talks) {
      if (!chat) chat = open_chat();
      // A template writes its special tokens itself.
      ids = tokenizer.encode(chat->text(conversation_of_messages(row), true, place), false);
    } else {
      ids = tokenizer.encode_prompt(text.string());
    }
    Prompt prompt{checked(std::move(ids), tokenizer, config, place), row_adapter(row, adapters)};
    if (prompt.ids.empty()) text.fail(no_beginning);
    if (auto count = static_cast<std::int64_t>(prompt.ids.size()); count >= config.max_position_embeddings)
      throw InputError(fmt::format("{}: expected fewer tokens than the model's {} positions, found {}", place,
                                   config.max_position_embeddings, count));
    prompts.push_back(std::move(prompt));
  });
  if (prompts.empty()) throw InputError(path + ": expected at least one row, found none");
  return prompts;
}

std::int64_t longest_prompt(const std::vector<Prompt>& prompts) {
  std::size_t longest = 0;
  for (const Prompt& prompt : prompts) longest = std::max(longest, prompt.ids.size());
  return static_cast<std::int64_t>(longest);
}

}  // namespace loragrad
