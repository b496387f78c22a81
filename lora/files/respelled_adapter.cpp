#include "lora/files/respelled_adapter.h"

#include <algorithm>

#include "lora/patterns.h"

namespace loragrad {

Spelling spelling_in(const AdapterTensors& tensors, Spelling own) {
  bool any = false;
  for (const auto& [name, tensor] : tensors.all()) {
    if (Spelling spelling = spelling_of(name); spelling != Spelling::itself) return spelling;
    any = any || name.starts_with("model.layers.") || name.starts_with("model.embed_tokens.");
  }
  return any ? Spelling::itself : own;
}

void respell(Adapter& adapter, Spelling own) {
  LoraConfig& config = adapter.config;
  ModuleRanks ranks(config);
  std::vector<std::string> names;
  decltype(config.rank_pattern) rank_pattern;
  decltype(config.alpha_pattern) alpha_pattern;
  for (LoraModule& module : adapter.modules) {
    std::int64_t rank = ranks.rank(module.name);
    double alpha = ranks.alpha(module.name);
    module.name = spelled(module.name, own);
    names.push_back(module.name);
    // Anchored, because a key may be any name's end.
    std::string key = "^" + quoted_pattern(module.name);
    if (rank != config.r) rank_pattern.emplace_back(key, rank);
    if (alpha != config.lora_alpha) alpha_pattern.emplace_back(key, alpha);
  }
  for (TrainedParameter& parameter : adapter.parameters_of_base) parameter.name = spelled(parameter.name, own);
  for (TrainedRows& rows : adapter.rows_of_base) rows.module = spelled(rows.module, own);
  TargetModules& targets = config.target_modules;
  auto whole = [&](const std::string& name) {
    return spelled(name, own) != name || name.find("layers.") != std::string::npos;
  };
  if (targets.kind == TargetModules::Kind::regex || std::any_of(targets.names.begin(), targets.names.end(), whole)) {
    targets = {};
    targets.names = names;
  }
  config.rank_pattern = rank_pattern;
  config.alpha_pattern = alpha_pattern;
}

}  // namespace loragrad
