#include "lora/layers.h"

#include <algorithm>
#include <charconv>
#include <string>

namespace loragrad {

LayerChoice::LayerChoice(std::vector<std::int64_t> layers, const std::vector<std::string>& patterns)
    : layers_(std::move(layers)) {
  auto add = [&](const std::string& begin) {
    patterns_.emplace_back("layers_pattern", begin + R"(\.(?P<idx>\d+)\.)", NamePattern::Extent::start);
  };
  for (const std::string& pattern : patterns) add(R"((?:^|.*?\.))" + pattern);
  if (patterns.empty()) add(R"(.*?\.[^.]*)");
}

bool LayerChoice::has(std::string_view module) const {
  for (const NamePattern& pattern : patterns_) {
    if (!pattern.matches(module)) continue;
    std::string digits = pattern.group(module, "idx").value_or("");
    std::int64_t layer = -1;
    auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), layer);
    return error == std::errc() && std::count(layers_.begin(), layers_.end(), layer) > 0;
  }
  return false;
}

}  // namespace loragrad
