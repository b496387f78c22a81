#include "lora/adapter_selection.h"

#include <algorithm>

#include "engine/error.h"
#include "io/json.h"
#include "io/message.h"
#include "lora/matching.h"
#include "lora/saved_modules.h"

namespace loragrad {

void fill_targets(AdapterConfigFile& file, const AdapterTensors& tensors, const std::string& path,
                  std::vector<std::string>* warnings) {
  TargetModules& targets = file.config.target_modules;
  if (targets.kind != TargetModules::Kind::names || !targets.names.empty()) return;
  targets.names = tensors.modules();
  if (targets.names.empty())
    throw InputError(path +
                     ": target_modules: expected a list of modules' names, or a pattern, found none, and no A in " +
                     tensors.path());
  if (warnings)
    warnings->push_back(path + ": target_modules: none; those that " + tensors.path() + " has are taken, " +
                        std::to_string(targets.names.size()));
}

std::vector<LinearShape> select_modules(AdapterConfigFile& file, const std::string& path,
                                        const std::vector<LinearShape>& all, std::vector<std::string>* warnings) {
  TargetModules& targets = file.config.target_modules;
  TargetSelection selection = select_targets(targets, all);
  std::vector<LinearShape> modules = within(file.limits, selection.modules, targets, all);
  bool left_out = modules.size() < selection.modules.size();
  const std::vector<std::string>& saved = file.config.modules_to_save;  // never adapted too
  std::erase_if(modules, [&](const LinearShape& shape) { return is_saved_module(saved, shape.name); });
  if (modules.empty()) {
    std::string first = selection.unmatched.empty() ? targets.text() : selection.unmatched.front();
    throw InputError(path + ": target_modules: expected modules of this model, found \"" + escaped(first, 200) +
                     "\", which gives none" + nearest_targets_text(targets, first, all));
  }
  if (warnings && !selection.unmatched.empty()) {
    std::vector<std::string> names;
    for (const std::string& name : selection.unmatched) names.push_back('"' + name + '"');
    warnings->push_back(path + ": target_modules: " + list_text(names, 200) +
                        (names.size() == 1 ? " matches" : " match") + " no module of the model");
  }
  if (left_out) {
    targets = {};
    for (const LinearShape& shape : modules) targets.names.push_back(shape.name);
  }
  return modules;
}

void check_tying(const AdapterConfigFile& file, const std::string& path, const std::vector<LinearShape>& modules,
                 std::vector<std::string>* warnings) {
  if (!file.ensure_weight_tying) return;
  bool adapted = std::any_of(modules.begin(), modules.end(),
                             [](const LinearShape& map) { return map.is_embedding || map.is_head; });
  if (adapted || !file.config.modules_to_save.empty())
    throw InputError(
        path +
        ": ensure_weight_tying: expected false beside an embedding or a head that is adapted or trained whole, " +
        "found true");
  if (warnings) warnings->push_back(path + ": ensure_weight_tying: has no effect on this adapter, ignored");
}

std::vector<const LoraVariant*> variants_of(const LoraConfig& config, const std::vector<LinearShape>& modules,
                                            const std::string& path) {
  std::vector<const LoraVariant*> variants;
  for (const LinearShape& map : modules) try {
      variants.push_back(&variant_of(config, map));
    } catch (const UsageError& error) {
      throw InputError(path + ": " + error.what());
    }
  return variants;
}

}  // namespace loragrad
