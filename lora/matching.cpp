#include "lora/matching.h"

#include <algorithm>
#include <unordered_set>

#include "engine/error.h"
#include "io/json.h"
#include "io/message.h"
#include "io/nearest.h"
#include "lora/layers.h"
#include "lora/patterns.h"

namespace loragrad {
namespace {

bool is_name_or_end(const std::string& target, const std::string& name) {
  if (name == target) return true;
  return name.size() > target.size() && name.ends_with(target) && name[name.size() - target.size() - 1] == '.';
}

/// The last `parts` of a dotted name.
std::string last_parts(const std::string& name, std::size_t parts) {
  std::size_t begin = name.size();
  for (; parts > 0 && begin != std::string::npos; --parts)
    begin = begin == 0 ? std::string::npos : name.rfind('.', begin - 1);
  return begin == std::string::npos ? name : name.substr(begin + 1);
}

}  // namespace

TargetSelection select_targets(const TargetModules& targets, const std::vector<LinearShape>& all,
                               std::string_view field) {
  TargetSelection result;
  if (targets.kind == TargetModules::Kind::all_linear) {
    for (const LinearShape& shape : all)
      if (!shape.is_embedding && !shape.is_head) result.modules.push_back(shape);
  } else if (targets.kind == TargetModules::Kind::regex) {
    NamePattern pattern(std::string(field), targets.pattern);
    for (const LinearShape& shape : all)
      if (pattern.matches(shape.name)) result.modules.push_back(shape);
    if (result.modules.empty()) result.unmatched.push_back(targets.pattern);
  } else {
    std::vector<bool> used(targets.names.size());
    for (const LinearShape& shape : all) {
      bool selected = false;
      for (std::size_t i = 0; i < targets.names.size(); ++i) {
        if (!is_name_or_end(targets.names[i], shape.name)) continue;
        used[i] = selected = true;
      }
      if (selected) result.modules.push_back(shape);
    }
    for (std::size_t i = 0; i < used.size(); ++i)
      if (!used[i]) result.unmatched.push_back(targets.names[i]);
  }
  return result;
}

std::string nearest_targets_text(const TargetModules& targets, const std::string& target,
                                 const std::vector<LinearShape>& all) {
  std::vector<std::string> names;
  std::unordered_set<std::string> seen;
  bool regex = targets.kind == TargetModules::Kind::regex;
  auto parts = regex ? 1 : 1 + static_cast<std::size_t>(std::count(target.begin(), target.end(), '.'));
  for (const LinearShape& shape : all) {
    std::string name = last_parts(shape.name, parts);
    if (seen.insert(name).second) names.push_back(name);
  }
  std::string near = regex ? "" : nearest_text(target, names);
  if (!near.empty() || all.empty()) return near;
  return " (the model has " + list_text(names, 160) + ")";  // nothing is alike: say what there is
}

std::vector<LinearShape> within(const ModuleLimits& limits, const std::vector<LinearShape>& selected,
                                const TargetModules& targets, const std::vector<LinearShape>& all) {
  std::unordered_set<std::string> left_out;
  if (limits.exclude)
    for (const LinearShape& shape : select_targets(*limits.exclude, all).modules) left_out.insert(shape.name);
  if (limits.layers) {
    LayerChoice choice(*limits.layers, limits.layers_pattern);
    for (const LinearShape& shape : selected)
      if (!std::count(targets.names.begin(), targets.names.end(), shape.name) && !choice.has(shape.name))
        left_out.insert(shape.name);
  }
  std::vector<LinearShape> modules;
  for (const LinearShape& shape : selected)
    if (!left_out.count(shape.name)) modules.push_back(shape);
  return modules;
}

std::vector<LinearShape> match_targets(const TargetModules& targets, const std::vector<LinearShape>& all) {
  if (targets.kind == TargetModules::Kind::names && targets.names.empty())
    throw UsageError("target_modules: expected at least one module's name, found none");
  TargetSelection selection = select_targets(targets, all);
  if (!selection.unmatched.empty()) {
    const std::string& target = selection.unmatched.front();
    throw UsageError(
        "target_modules: expected " +
        std::string(targets.kind == TargetModules::Kind::regex ? "a pattern for whole names of modules"
                                                               : "a module's name or its end after a dot") +
        ", found \"" + escaped(target, 200) + "\", which matches none" + nearest_targets_text(targets, target, all));
  }
  if (selection.modules.empty()) throw UsageError("target_modules: expected linear maps in the model, found none");
  return selection.modules;
}

}  // namespace loragrad
