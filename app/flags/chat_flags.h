#pragma once
#include <optional>
#include <string>

#include "app/flags/flags.h"
#include "data/chat/chat_template.h"

namespace loragrad {

/// Which chat template conversations are written with, as flags.
struct ChatFlags {
  std::optional<std::string> chat_template;
  std::string date = "2024-07-26";

  void add(Flags& flags);
  /// The template of --chat-template, or the model folder's.
  ChatTemplate open(const std::string& folder, const Tokenizer& tokenizer) const;
};

}  // namespace loragrad
