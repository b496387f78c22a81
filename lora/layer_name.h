#pragma once
#include <charconv>
#include <cstdint>
#include <optional>
#include <string_view>

namespace loragrad {

/// The parts of a module's name around its first number between dots: "model.layers", 3, "self_attn.q_proj".
struct LayerName {
  std::string_view head;
  std::int64_t layer = 0;
  std::string_view tail;
};

/// Views into `name`; nothing where it has no such number.
inline std::optional<LayerName> layer_name(std::string_view name) {
  for (std::size_t dot = name.find('.'); dot != std::string_view::npos; dot = name.find('.', dot + 1)) {
    std::size_t next = name.find('.', dot + 1);
    if (next == std::string_view::npos) return std::nullopt;
    std::int64_t layer = 0;
    auto [end, error] = std::from_chars(name.data() + dot + 1, name.data() + next, layer);
    if (error == std::errc() && end == name.data() + next && layer >= 0)
      return LayerName{name.substr(0, dot), layer, name.substr(next + 1)};
  }
  return std::nullopt;
}

}  // namespace loragrad
