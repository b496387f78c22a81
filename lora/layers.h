#pragma once
#include <cstdint>
#include <string_view>
#include <vector>

#include "lora/patterns.h"

namespace loragrad {

/// PEFT's layers_to_transform and layers_pattern: of modules that a target names by the end of their names, those of
/// some layers. A module's layer is the first number that stands between dots behind two words, or behind one that a
/// pattern matches; the first pattern that finds a number decides.
class LayerChoice {
 public:
  /// UsageError for a pattern that is none.
  LayerChoice(std::vector<std::int64_t> layers, const std::vector<std::string>& patterns);
  /// False also for a module without a layer.
  bool has(std::string_view module) const;

 private:
  std::vector<std::int64_t> layers_;
  std::vector<NamePattern> patterns_;
};

}  // namespace loragrad
