#include "app/flags/lora_flags.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "app/flags/lora_values.h"
#include "app/terminal/console.h"
#include "app/terminal/interrupt.h"
#include "engine/error.h"
#include "io/message.h"
#include "lora/files/adapter_file.h"
#include "lora/layers.h"
#include "lora/matching.h"
#include "lora/patterns.h"
#include "lora/saved_modules.h"
#include "lora/variant.h"
#include "models/model.h"
#include "models/trained_parameters.h"
#include "models/trained_rows.h"

namespace loragrad {

void check_targets(const TargetModules& targets, const std::vector<LinearShape>& all) {
  bool all_match = select_targets(targets, all).unmatched.empty();
  try {
    match_targets(targets, all);
  } catch (const UsageError& error) {
    if (!all_match) throw InputError(error.what());
    throw;
  }
}

void warn_of_unmergeable(const Adapter& adapter, const std::vector<LinearShape>& all) {
  std::set<std::string> without_bias;
  for (const LinearShape& map : all)
    if (!map.has_bias && !map.is_embedding) without_bias.insert(map.name);
  std::vector<std::string> names;
  for (const LoraModule& module : adapter.modules) {
    auto merged = module.variant->merged();
    if (std::count(merged.begin(), merged.end(), "bias") && without_bias.count(module.name))
      names.push_back(module.name);
  }
  if (!names.empty())
    warn("the adapter can be used beside the base, but not be merged: no bias in " + list_text(names, 200));
}

namespace {

/// InputError for a key of a pattern that none of the modules has.
void check_patterns(const LoraConfig& config, const std::vector<LinearShape>& modules) {
  auto check = [&](const char* field, const char* flag, const auto& pattern) {
    for (const auto& [key, value] : pattern) {
      NamePattern matched = key_pattern(field, key);
      if (std::none_of(modules.begin(), modules.end(),
                       [&](const LinearShape& map) { return matched.matches(map.name); }))
        throw InputError(
            fmt::format("--{}: expected patterns for names of adapted modules, found \"{}\", which matches none", flag,
                        escaped(key, 200)));
    }
  };
  check("rank_pattern", "rank-pattern", config.rank_pattern);
  check("alpha_pattern", "alpha-pattern", config.alpha_pattern);
}

}  // namespace

void LoraFlags::add(Flags& flags) {
  flags.integer("rank", rank, 1, largest_rank, "r of A [r, in] and B [out, r]");
  flags.number("alpha", alpha, -1e30, 1e30, "B A is scaled by alpha / rank (default: 2 x rank)");
  flags.number("dropout", dropout, 0, 1, "on the adapter's input, below 1");
  flags.text("target", target, "NAMES", "q_proj,v_proj | all-linear | regex:PATTERN (default: PEFT's for the family)");
  flags.text("layers", layers, "0-3,7", "adapt modules of these layers alone, counted from 0");
  flags.text("exclude", exclude, "NAMES", "modules that --target selects and that get no adapter; also regex:PATTERN");
  flags.choice("init", init, {"default", "gaussian", "orthogonal", "pissa", "olora"},
               "of A and B, as PEFT's; pissa and olora start as a part of the base");
  flags.toggle("rslora", rslora, "scale by alpha / sqrt(rank)");
  flags.toggle("lora-bias", lora_bias, "B has a bias, trained with it");
  flags.toggle("dora", dora, "train the lengths of the adapted weights' rows too (DoRA)");
  flags.choice("bias", bias, {"none", "lora_only", "all"}, "biases of the base that are trained too");
  flags.text("modules-to-save", modules_to_save, "NAMES", "ends of names of modules that are trained whole");
  flags.text("trainable-tokens", trainable_tokens, "IDS-OR-TEXTS",
             "tokens whose rows of the embedding are trained, as 5,17 or <think>,</think>");
  flags.text("rank-pattern", rank_pattern, "K=V,...", "ranks of single modules, whose names end like K, a pattern");
  flags.text("alpha-pattern", alpha_pattern, "K=V,...", "alphas of single modules");
  flags.toggle("full", full, "train all parameters instead of an adapter");
  flags.text("init-adapter", init_adapter, "DIR", "start from a saved adapter; its config wins");
}

void LoraFlags::check(const Flags& flags) const {
  if (full && flags.given("loraplus-ratio"))
    throw UsageError("--loraplus-ratio: expected no adapter's flag beside --full");
  for (const char* name :
       {"rank", "alpha", "dropout", "target", "layers", "exclude", "init", "rslora", "lora-bias", "dora", "bias",
        "modules-to-save", "trainable-tokens", "rank-pattern", "alpha-pattern", "init-adapter"}) {
    if (!flags.given(name)) continue;
    if (full) throw UsageError(fmt::format("--{}: expected no adapter's flag beside --full", name));
    if (init_adapter && std::string(name) != "init-adapter")
      warn(fmt::format("--{} is not used: the config of --init-adapter wins", name));
  }
}

LoraConfig LoraFlags::config(const std::string& model_type, const Tokenizer* tokenizer) const {
  if (init_adapter) return read_adapter_config(*init_adapter);
  LoraConfig config;
  config.r = rank;
  config.lora_alpha = alpha.value_or(2 * static_cast<double>(rank));
  config.lora_dropout = dropout;
  config.target_modules = target ? TargetModules::parse(*target) : default_targets(model_type);
  config.use_rslora = rslora;
  config.lora_bias = lora_bias;
  config.use_dora = dora;
  config.bias = bias_named(bias).value_or(TrainedBias::none);
  if (modules_to_save) config.modules_to_save = module_names_of(*modules_to_save);
  if (trainable_tokens) config.trainable_token_indices = {{"", tokens_of(*trainable_tokens, tokenizer)}};
  if (rank_pattern) config.rank_pattern = ranks_of(*rank_pattern);
  if (alpha_pattern) config.alpha_pattern = alphas_of(*alpha_pattern);
  config.init_lora_weights = init_named(init).value_or(LoraInit::standard);
  config.check();
  if (config.lora_alpha == 0)
    throw UsageError("--alpha: expected a number other than 0, with which nothing is learnt, found 0");
  for (const auto& [name, value] : config.alpha_pattern)
    if (value == 0)
      throw UsageError(fmt::format("--alpha-pattern {}: expected a number other than 0, found 0", escaped(name, 200)));
  return config;
}

void LoraFlags::choose_modules(LoraConfig& config, const std::vector<LinearShape>& all) const {
  check_targets(config.target_modules, all);
  if (!init_adapter) check_patterns(config, match_targets(config.target_modules, all));
  if (init_adapter || (!layers && !exclude && config.modules_to_save.empty())) return;
  TargetModules& targets = config.target_modules;
  ModuleLimits limits;
  if (exclude) {
    limits.exclude = TargetModules::parse(*exclude, "--exclude");
    if (limits.exclude->kind == TargetModules::Kind::all_linear)
      throw UsageError("--exclude: expected names or regex:PATTERN, found all-linear");
    TargetSelection selection = select_targets(*limits.exclude, all, "--exclude");
    if (!selection.unmatched.empty())
      throw InputError(fmt::format("--exclude: expected names of modules, found \"{}\", which matches none{}",
                                   escaped(selection.unmatched.front(), 200),
                                   nearest_targets_text(*limits.exclude, selection.unmatched.front(), all)));
  }
  std::vector<LinearShape> selected = match_targets(targets, all);
  if (layers) {
    limits.layers = layers_of(*layers);
    for (std::int64_t layer : *limits.layers)
      if (LayerChoice here({layer}, {});
          std::none_of(selected.begin(), selected.end(), [&](const LinearShape& s) { return here.has(s.name); }))
        throw InputError(fmt::format("--layers: expected layers that have a target, found {}", layer));
  }
  std::vector<LinearShape> left = within(limits, selected, targets, all);
  std::erase_if(left, [&](const LinearShape& shape) {
    bool saved = is_saved_module(config.modules_to_save, shape.name);
    if (saved && shape.is_head) warn(shape.name + " gets no adapter: --modules-to-save trains it whole");
    return saved;
  });
  if (left.empty())
    throw UsageError("--exclude, --modules-to-save: expected to leave a module to adapt, found none left");
  if (left.size() == selected.size()) return;
  targets = {};
  for (const LinearShape& shape : left) targets.names.push_back(shape.name);
}

Adapter LoraFlags::adapter(const LoraConfig& config, const DevicePtr& device, const Base& base,
                           std::uint64_t seed) const {
  if (init_adapter) return open_adapter(*init_adapter, base, device, true);
  Adapter adapter = make_adapter(device, config, base.model.adaptable_shapes(), seed, DType::f32, stop_if_interrupted);
  adapter.parameters_of_base = parameters_to_train(base.model, config, adapter.modules);
  adapter.rows_of_base = rows_to_train(base.model, config, adapter.modules);
  return adapter;
}

std::string LoraFlags::by_flag(const std::string& message) {
  for (auto [field, flag] : {std::pair("r", "rank"),
                             {"target_modules", "target"},
                             {"lora_alpha", "alpha"},
                             {"lora_dropout", "dropout"},
                             {"rank_pattern", "rank-pattern"},
                             {"alpha_pattern", "alpha-pattern"},
                             {"trainable_token_indices", "trainable-tokens"}}) {
    std::string_view rest(message);
    if (!rest.starts_with(field)) continue;
    rest.remove_prefix(std::string_view(field).size());
    if (rest.starts_with(':')) return fmt::format("--{}{}", flag, rest);
    if (rest.starts_with('.')) return fmt::format("--{} {}", flag, rest.substr(1));  // a pattern's key
  }
  return message;
}

}  // namespace loragrad
