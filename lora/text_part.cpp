#include "lora/text_part.h"

#include <array>
#include <string_view>

namespace loragrad {
namespace {

struct Begins {
  std::string_view model, head;
};
/// By Spelling.
constexpr std::array<Begins, 3> begins{
    {{"model.", "lm_head"}, {"model.language_model.", "lm_head"}, {"language_model.model.", "language_model.lm_head"}}};

}  // namespace

std::string spelled(const std::string& name, Spelling spelling) {
  const Begins &from = begins.at(static_cast<std::size_t>(spelling_of(name))),
               &to = begins.at(static_cast<std::size_t>(spelling));
  for (auto [old, now] : {std::pair(from.model, to.model), {from.head, to.head}})
    if (name.starts_with(old)) return std::string(now) + name.substr(old.size());
  return name;
}

Spelling spelling_of(const std::string& name) {
  for (Spelling spelling : {Spelling::part, Spelling::in_files}) {
    const Begins& own = begins.at(static_cast<std::size_t>(spelling));
    if (name.starts_with(own.model) || (name.starts_with(own.head) && spelling == Spelling::in_files)) return spelling;
  }
  return Spelling::itself;
}

bool is_in_text_part(const std::string& name) {
  return spelling_of(name) != Spelling::itself || name.starts_with("lm_head");
}

}  // namespace loragrad
