#pragma once
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
/// whose whole name it matches; all-linear, all. UsageError for a pattern that is none.
TargetSelection select_targets(const TargetModules& targets, const std::vector<LinearShape>& all);

/// " (nearest: q_proj, v_proj)": names as long as `target` (in parts between dots), or for a pattern what there is.
std::string nearest_targets_text(const TargetModules& targets, const std::string& target,
                                 const std::vector<LinearShape>& all);

}  // namespace loragrad
