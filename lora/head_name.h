#pragma once
// Threads: any thread may ask.
#include <string>
#include <string_view>

namespace loragrad {

/// The head as all families name it, and its parameter, where that is not the embedding's.
inline constexpr const char *head_module = "lm_head", *head_name = "lm_head.weight";

/// A module's or a tensor's name as models have it here, and PEFT under transformers 5. GPT-NeoX's head, lm_head as in
/// all families, was called embed_out before.
inline std::string with_new_head_name(std::string name) {
  constexpr std::string_view old = "embed_out";
  if (name.starts_with(old) && (name.size() == old.size() || name[old.size()] == '.'))
    name.replace(0, old.size(), head_module);
  return name;
}

}  // namespace loragrad
