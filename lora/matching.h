#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "lora/adapter.h"

namespace loragrad {

/// The modules that targets select, and the targets that select none.
struct TargetSelection {
  std::vector<LinearShape> modules;    ///< in the order of `all`
  std::vector<std::string> unmatched;  ///< names, or the pattern
};

/// A list entry selects the module of that name and those whose name ends with it after a dot; a pattern, the modules
/// whose whole name it matches; all-linear, all but embeddings and the head. UsageError, of the field, for a pattern that
/// is none.
TargetSelection select_targets(const TargetModules& targets, const std::vector<LinearShape>& all,
                               std::string_view field = "target_modules");

/// What of that is left out: PEFT's exclude_modules, layers_to_transform and layers_pattern.
struct ModuleLimits {
  std::optional<TargetModules> exclude;
  std::optional<std::vector<std::int64_t>> layers;  ///< of these alone, counted from 0
  std::vector<std::string> layers_pattern;  ///< patterns for what stands before a layer's number (lora/layers.h)

  bool any() const { return exclude || layers; }
};
/// Those of `selected` (by `targets`, of `all`) that are within the limits. A module that a target names in full is not
/// bound to the layers, as in PEFT.
std::vector<LinearShape> within(const ModuleLimits& limits, const std::vector<LinearShape>& selected,
                                const TargetModules& targets, const std::vector<LinearShape>& all);

/// " (nearest: q_proj, v_proj)": names as long as `target` (in parts between dots), or for a pattern what there is.
std::string nearest_targets_text(const TargetModules& targets, const std::string& target,
                                 const std::vector<LinearShape>& all);

}  // namespace loragrad
