#include <algorithm>
#include <cmath>
#include <limits>
#include <string_view>

#include "engine/error.h"
#include "io/json.h"
#include "lora/files/adapter_config_json.h"
#include "lora/head_name.h"
#include "lora/layers.h"
#include "lora/patterns.h"
#include "lora/trained_rows.h"
#include "lora/variant.h"

namespace loragrad {
namespace {

struct Field {
  std::string_view name, why;
};

/// Read below, or true of every result: who made the adapter, and defaults of what is off.
constexpr std::string_view used[] = {"peft_type",
                                     "r",
                                     "lora_alpha",
                                     "lora_dropout",
                                     "target_modules",
                                     "use_rslora",
                                     "lora_bias",
                                     "use_dora",
                                     "rank_pattern",
                                     "alpha_pattern",
                                     "init_lora_weights",
                                     "base_model_name_or_path",
                                     "bias",
                                     "modules_to_save",
                                     "trainable_token_indices",
                                     "ensure_weight_tying",
                                     "task_type",
                                     "exclude_modules",
                                     "layers_to_transform",
                                     "layers_pattern",
                                     "peft_version",
                                     "revision",
                                     "auto_mapping",
                                     "inference_mode",
                                     "fan_in_fan_out",
                                     "megatron_core",
                                     "qalora_group_size"};

/// Change the result where they are not null, false or empty.
constexpr Field unsupported[] = {{"target_parameters", "adapted parameters"},
                                 {"layer_replication", "repeated layers"},
                                 {"alora_invocation_tokens", "activated LoRA"},
                                 {"use_qalora", "QALoRA"},
                                 {"use_bdlora", "block-diagonal LoRA"},
                                 {"arrow_config", "Arrow"},
                                 {"corda_config", "CorDA"},
                                 {"kasa_config", "KaSA"},
                                 {"lora_ga_config", "LoRA-GA"},
                                 {"monteclora_config", "MonteCLoRA"},
                                 {"velora_config", "VeLoRA"}};

/// Matter while training only, or to what an adapter like ours does not have.
constexpr std::string_view without_effect[] = {"eva_config", "loftq_config", "megatron_config"};

template <class List, class Name>
bool has(const List& list, const Name& name) {
  return std::find(std::begin(list), std::end(list), name) != std::end(list);
}

bool is_off(const JsonRef& field) {
  if (field.is_null()) return true;
  if (field.is_boolean()) return !field.boolean();
  return (field.is_array() || field.is_object()) && field.size() == 0;
}

void check_fields(const JsonRef& file, std::vector<std::string>& warnings) {
  for (const auto& [name, field] : file.members()) {
    if (has(used, name)) continue;
    auto refused = std::find_if(std::begin(unsupported), std::end(unsupported),
                                [&, &name = name](const Field& entry) { return entry.name == name; });
    if (refused != std::end(unsupported)) {
      if (!is_off(field)) field.fail("none (" + std::string(refused->why) + ": not supported)");
    } else if (!has(without_effect, name)) {
      warnings.push_back(file.where() + ": " + escaped(name) + ": unknown field, ignored");
    } else if (!is_off(field)) {
      warnings.push_back(file.where() + ": " + name + ": has no effect on a saved adapter, ignored");
    }
  }
}

std::string lower(std::string text) {
  for (char& c : text) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  return text;
}

std::vector<std::string> names_in(const JsonRef& field) {
  std::vector<std::string> names = field.strings();
  for (std::string& name : names) name = with_new_head_name(std::move(name));
  return names;
}

/// A list of names, or a pattern as a string.
TargetModules read_targets(const JsonRef& field) {
  TargetModules result;
  if (field.is_string()) {
    if (lower(field.string()) == "all-linear") {  // as PEFT compares it
      result.kind = TargetModules::Kind::all_linear;
      return result;
    }
    result.kind = TargetModules::Kind::regex;
    result.pattern = field.string();
    try {
      NamePattern check(field.path(), result.pattern);
    } catch (const UsageError& error) {
      throw InputError(field.where() + ": " + error.what());
    }
    return result;
  }
  if (!field.is_array() || field.size() == 0) field.fail("a list of modules' names, or a pattern");
  result.names = names_in(field);
  for (std::size_t i = 0; i < result.names.size(); ++i)
    if (result.names[i].empty()) field[i].fail("a module's name");
  return result;
}

void check_type(const JsonRef& file) {
  JsonRef type = file.at("peft_type");
  if (!type.is_string() || type.string() != "LORA") type.fail("\"LORA\"");
}

TrainedBias read_bias(const JsonRef& field) {
  if (field.is_string())
    if (auto bias = bias_named(field.string())) return *bias;
  field.fail("\"none\", \"lora_only\" or \"all\"");
}

/// All inits but those that have changed the base leave no trace in a saved adapter.
LoraInit read_init(const JsonRef& file, std::vector<std::string>& warnings) {
  auto field = file.find("init_lora_weights");
  if (!field || field->is_boolean()) return LoraInit::standard;
  if (!field->is_string()) field->fail("true, false or a name");
  const std::string& name = field->string();
  if (auto init = init_named(name); init && !changes_base(*init) && *init != LoraInit::standard) return *init;
  if (name != "eva")
    field->fail("true, false, \"gaussian\", \"orthogonal\" or \"eva\" (others change the base, or are unknown)");
  warnings.push_back(file.where() + ": init_lora_weights: has no effect on a saved adapter, ignored");
  return LoraInit::standard;
}

/// A list of the embedding's tokens, or an object of lists by modules' names.
std::vector<TrainableTokens> read_token_indices(const JsonRef& field) {
  std::vector<TrainableTokens> result;
  auto add = [&](const std::string& module, const JsonRef& list) {
    if (!list.is_array() || list.size() == 0) list.fail("a list of token ids");
    TrainableTokens& entry = result.emplace_back(TrainableTokens{module, {}});
    for (const JsonRef& id : list.elements())
      entry.ids.push_back(static_cast<std::int32_t>(id.integer(0, std::numeric_limits<std::int32_t>::max())));
  };
  if (!field.is_object()) {
    add("", field);
    return result;
  }
  for (const auto& [module, list] : field.members()) {
    if (module.empty()) list.fail("a module's name before it");
    add(with_new_head_name(module), list);
  }
  return result;
}

constexpr double largest_alpha = std::numeric_limits<double>::max();

void read_patterns(const JsonRef& file, LoraConfig& config) {
  auto read = [&](const char* name, auto& list, auto value_of) {
    auto field = file.find(name);
    if (!field) return;
    if (!field->is_object()) field->fail("an object");
    for (const auto& [key, value] : field->members()) list.emplace_back(with_new_head_name(key), value_of(value));
  };
  read("rank_pattern", config.rank_pattern, [](const JsonRef& value) { return value.integer(1, largest_rank); });
  read("alpha_pattern", config.alpha_pattern,
       [](const JsonRef& value) { return value.number(-largest_alpha, largest_alpha); });
  try {
    ModuleRanks compiled(config);
  } catch (const UsageError& error) {
    throw InputError(file.where() + ": " + error.what());
  }
}

}  // namespace

AdapterConfigFile read_adapter_config_file(const std::string& path, std::vector<std::string>* warnings) {
  Json json = read_json_file(path);
  JsonRef file(json, path);
  std::vector<std::string> ignored;
  check_type(file);
  check_fields(file, ignored);

  AdapterConfigFile result;
  LoraConfig& config = result.config;
  if (auto r = file.find("r")) config.r = r->integer(1, largest_rank);
  if (auto alpha = file.find("lora_alpha")) config.lora_alpha = alpha->number(-largest_alpha, largest_alpha);
  if (auto dropout = file.find("lora_dropout")) {
    config.lora_dropout = dropout->number(0, 1);
    if (config.lora_dropout == 1) dropout->fail("a number in [0, 1)");
  }
  if (auto rslora = file.find("use_rslora")) config.use_rslora = rslora->boolean();
  if (auto bias = file.find("lora_bias")) config.lora_bias = bias->boolean();
  if (auto dora = file.find("use_dora")) config.use_dora = dora->boolean();
  if (auto bias = file.find("bias")) config.bias = read_bias(*bias);
  if (auto saved = file.find("modules_to_save"); saved && !is_off(*saved)) config.modules_to_save = names_in(*saved);
  if (auto tokens = file.find("trainable_token_indices"); tokens && !is_off(*tokens))
    config.trainable_token_indices = read_token_indices(*tokens);
  config.init_lora_weights = read_init(file, ignored);
  if (auto targets = file.find("target_modules")) config.target_modules = read_targets(*targets);
  read_patterns(file, config);
  try {
    check_token_indices(config);
    variant_of(config).check(config);
  } catch (const UsageError& error) {
    throw InputError(path + ": " + error.what());
  }
  if (auto tying = file.find("ensure_weight_tying")) result.ensure_weight_tying = tying->boolean();
  if (auto base = file.find("base_model_name_or_path")) result.base_model = base->string();
  if (auto exclude = file.find("exclude_modules"); exclude && !is_off(*exclude)) {
    TargetModules modules = read_targets(*exclude);
    // PEFT knows "all-linear" for targets only: here it is a pattern that no module's name has.
    if (modules.kind != TargetModules::Kind::all_linear) result.limits.exclude = std::move(modules);
  }
  if (auto layers = file.find("layers_to_transform"); layers && !is_off(*layers)) {
    if (config.target_modules.kind != TargetModules::Kind::names)
      layers->fail("null beside target_modules that is no list");  // as PEFT does
    constexpr std::int64_t largest = std::numeric_limits<std::int32_t>::max();
    result.limits.layers.emplace();
    for (const JsonRef& layer : layers->one_or_more()) result.limits.layers->push_back(layer.integer(0, largest));
  }
  if (auto pattern = file.find("layers_pattern"); pattern && !is_off(*pattern))
    for (const JsonRef& word : pattern->one_or_more()) result.limits.layers_pattern.push_back(word.string());
  if (result.limits.layers_pattern == std::vector<std::string>{""}) result.limits.layers_pattern.clear();
  try {
    LayerChoice check({}, result.limits.layers_pattern);
  } catch (const UsageError& error) {
    throw InputError(path + ": " + error.what());
  }
  if (warnings) warnings->insert(warnings->end(), ignored.begin(), ignored.end());
  return result;
}

}  // namespace loragrad
