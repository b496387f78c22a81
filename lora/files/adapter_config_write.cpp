#include <algorithm>
#include <cmath>

#include "engine/error.h"
#include "io/json.h"
#include "lora/files/adapter_config_json.h"
#include "lora/head_name.h"
#include "lora/patterns.h"
#include "lora/text_part.h"
#include "lora/variant.h"

namespace loragrad {
namespace {

/// The release whose fields these are.
constexpr const char* peft_version = "0.21.2";

/// Python's int where the value is one.
Json number(double value) {
  constexpr double exact = 0x1p53;
  if (std::trunc(value) == value && std::abs(value) < exact) return Json(static_cast<std::int64_t>(value));
  return Json(value);
}

Json targets(const Adapter& adapter) {
  const TargetModules& modules = adapter.config.target_modules;
  if (modules.kind == TargetModules::Kind::regex) return modules.pattern;
  std::vector<std::string> names = modules.names;
  if (modules.kind == TargetModules::Kind::all_linear || names.empty()) {
    names.clear();
    for (const LoraModule& module : adapter.modules) names.push_back(module.name);
  }
  std::sort(names.begin(), names.end());
  names.erase(std::unique(names.begin(), names.end()), names.end());
  Json::Array list;
  for (std::string& name : names) list.emplace_back(std::move(name));
  return list;
}

Json token_indices(const std::vector<TrainableTokens>& entries) {
  if (entries.empty()) return {};
  Json::Object by_module;
  for (const TrainableTokens& entry : entries) {
    Json::Array ids;
    for (std::int32_t id : entry.ids) ids.emplace_back(std::int64_t{id});
    if (entry.module.empty()) return ids;  // the embedding's alone
    by_module.emplace_back(entry.module, ids);
  }
  return by_module;
}

struct Patterns {
  Json::Object ranks, alphas;
};

Patterns patterns(const Adapter& adapter) {
  const LoraConfig& config = adapter.config;
  ModuleRanks ranks(config), sorted(config, ModuleRanks::Order::sorted);
  Patterns result;
  bool order_matters = std::any_of(adapter.modules.begin(), adapter.modules.end(), [&](const LoraModule& module) {
    return ranks.rank(module.name) != sorted.rank(module.name) || ranks.alpha(module.name) != sorted.alpha(module.name);
  });
  if (!order_matters) {
    for (const auto& [key, value] : config.rank_pattern) result.ranks.emplace_back(key, value);
    for (const auto& [key, value] : config.alpha_pattern) result.alphas.emplace_back(key, number(value));
    return result;
  }
  // Anchored, because a key may be any name's end: "a" would decide for "b.a" too.
  for (const LoraModule& module : adapter.modules) {
    std::string key = "^" + quoted_pattern(module.name);
    std::int64_t rank = ranks.rank(module.name);
    double alpha = ranks.alpha(module.name);
    if (rank != config.r) result.ranks.emplace_back(key, rank);
    if (alpha != config.lora_alpha) result.alphas.emplace_back(key, number(alpha));
  }
  return result;
}

bool stored_transposed(const Adapter& adapter) {
  return std::any_of(adapter.modules.begin(), adapter.modules.end(), [](const LoraModule& module) {
    return module.layout == WeightLayout::in_out && !module.variant->of_embedding();
  });
}

/// In a model with other parts, q_proj is a module of those as well.
Json outside_of_text_part(const Adapter& adapter) {
  auto is_head = [](const LoraModule& module) { return module.name == head_module; };
  auto is_in_part = [](const LoraModule& module) { return spelling_of(module.name) == Spelling::part; };
  const std::vector<LoraModule>& modules = adapter.modules;
  bool all_known = std::all_of(modules.begin(), modules.end(),
                               [&](const LoraModule& module) { return is_in_part(module) || is_head(module); });
  if (!all_known || std::none_of(modules.begin(), modules.end(), is_in_part)) return {};
  bool head = std::any_of(modules.begin(), modules.end(), is_head);
  return std::string(head ? "(?!model\\.language_model\\.|lm_head$).*" : "(?!model\\.language_model\\.).*");
}

}  // namespace

std::string adapter_config_text(const Adapter& adapter) {
  const LoraConfig& config = adapter.config;
  Patterns pattern = patterns(adapter);
  Json file(Json::Object{
      {"peft_type", "LORA"},
      {"peft_version", peft_version},
      {"task_type", "CAUSAL_LM"},
      {"base_model_name_or_path", adapter.base_model.empty() ? Json() : Json(adapter.base_model)},
      {"inference_mode", true},
      {"r", config.r},
      {"lora_alpha", number(config.lora_alpha)},
      {"lora_dropout", config.lora_dropout},
      {"target_modules", targets(adapter)},
      {"fan_in_fan_out", stored_transposed(adapter)},
      {"bias", std::string(name_of(config.bias))},
      {"use_rslora", config.use_rslora},
      {"lora_bias", config.lora_bias},
      {"use_dora", config.use_dora},
      {"rank_pattern", pattern.ranks},
      {"alpha_pattern", pattern.alphas},
      {"megatron_core", "megatron.core"},
      {"qalora_group_size", 16},
      {"loftq_config", Json::Object{}},
  });
  bool standard = config.init_lora_weights == LoraInit::standard;
  file.set("init_lora_weights", standard ? Json(true) : Json(std::string(name_of(config.init_lora_weights))));
  for (const char* off : {"use_qalora", "ensure_weight_tying"}) file.set(off, false);
  for (const char* unused :
       {"auto_mapping", "revision", "layers_to_transform", "layers_pattern", "layer_replication", "target_parameters",
        "megatron_config", "eva_config", "corda_config", "lora_ga_config", "velora_config", "alora_invocation_tokens",
        "monteclora_config", "use_bdlora", "arrow_config", "kasa_config"})
    file.set(unused, nullptr);
  file.set("exclude_modules", outside_of_text_part(adapter));
  Json::Array saved(config.modules_to_save.begin(), config.modules_to_save.end());
  file.set("modules_to_save", saved.empty() ? Json() : Json(saved));
  file.set("trainable_token_indices", token_indices(config.trainable_token_indices));
  return file.dump(2, true);
}

}  // namespace loragrad
