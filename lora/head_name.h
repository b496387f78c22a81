#pragma once
#include <string>
#include <string_view>

namespace loragrad {

/// A module's or a tensor's name as models have it here, and PEFT under transformers 5. GPT-NeoX's head, lm_head as in
/// all families, was called embed_out before.
inline std::string with_new_head_name(std::string name) {
  constexpr std::string_view old = "embed_out";
  if (name.starts_with(old) && (name.size() == old.size() || name[old.size()] == '.'))
    name.replace(0, old.size(), "lm_head");
  return name;
}

}  // namespace loragrad
