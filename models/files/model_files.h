#pragma once
#include <array>
#include <string>

namespace loragrad {

/// What a model folder may have besides config.json and weights: the generation settings, the tokenizer's files and those
/// of a model's other inputs (images)
inline constexpr std::array model_companions{"generation_config.json",
                                             "tokenizer.json",
                                             "tokenizer_config.json",
                                             "special_tokens_map.json",
                                             "added_tokens.json",
                                             "vocab.json",
                                             "merges.txt",
                                             "tokenizer.model",
                                             "chat_template.jinja",
                                             "chat_template.json",
                                             "preprocessor_config.json",
                                             "processor_config.json"};

/// Copies the companions that are there. IoError where a file cannot be read or written.
void copy_companions(const std::string& from, const std::string& to);

}  // namespace loragrad
