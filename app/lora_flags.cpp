#include "app/lora_flags.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <set>

#include "app/console.h"
#include "engine/error.h"
#include "io/message.h"
#include "lora/adapter_file.h"
#include "lora/layers.h"
#include "lora/matching.h"
#include "lora/saved_modules.h"
#include "lora/variant.h"
#include "models/model.h"
#include "models/trained_parameters.h"

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
    if (!map.has_bias) without_bias.insert(map.name);
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

/// "lm_head,embed_tokens"
std::vector<std::string> names_of(const std::string& text) {
  TargetModules list = TargetModules::parse(text);
  if (list.kind != TargetModules::Kind::names)
    throw UsageError(fmt::format("--modules-to-save: expected names, found \"{}\"", escaped(text)));
  return list.names;
}

/// "0-3,7"
std::vector<std::int64_t> layers_of(const std::string& text) {
  std::vector<std::int64_t> layers;
  const char *at = text.data(), *end = at + text.size();
  auto number = [&](std::int64_t& value) {
    constexpr std::int64_t most = 1 << 20;
    auto [behind, error] = std::from_chars(at, end, value);
    bool good = error == std::errc() && value >= 0 && value < most;
    at = behind;
    return good;
  };
  while (true) {
    std::int64_t first = 0, last = 0;
    bool good = number(first);
    last = first;
    if (good && at != end && *at == '-') good = ++at, number(last);
    if (!good || last < first || (at != end && *at != ','))
      throw UsageError(fmt::format("--layers: expected numbers and ranges with commas between, as 0-3,7, found \"{}\"",
                                   escaped(text)));
    for (std::int64_t layer = first; layer <= last; ++layer) layers.push_back(layer);
    if (at++ == end) return layers;
  }
}

}  // namespace

void LoraFlags::add(Flags& flags) {
  flags.integer("rank", rank, 1, 65536, "r of A [r, in] and B [out, r]");
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
  flags.toggle("full", full, "train all parameters instead of an adapter");
  flags.text("init-adapter", init_adapter, "DIR", "start from a saved adapter; its config wins");
}

void LoraFlags::check(const Flags& flags) const {
  if (full && flags.given("loraplus-ratio"))
    throw UsageError("--loraplus-ratio: expected no adapter's flag beside --full");
  for (const char* name : {"rank", "alpha", "dropout", "target", "layers", "exclude", "init", "rslora", "lora-bias",
                           "dora", "bias", "modules-to-save", "init-adapter"}) {
    if (!flags.given(name)) continue;
    if (full) throw UsageError(fmt::format("--{}: expected no adapter's flag beside --full", name));
    if (init_adapter && std::string(name) != "init-adapter")
      warn(fmt::format("--{} is not used: the config of --init-adapter wins", name));
  }
}

LoraConfig LoraFlags::config(const std::string& model_type) const {
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
  if (modules_to_save) config.modules_to_save = names_of(*modules_to_save);
  config.init_lora_weights = init_named(init).value_or(LoraInit::standard);
  config.check();
  return config;
}

void LoraFlags::choose_modules(LoraConfig& config, const std::vector<LinearShape>& all) const {
  check_targets(config.target_modules, all);
  if (init_adapter || (!layers && !exclude && config.modules_to_save.empty())) return;
  TargetModules& targets = config.target_modules;
  ModuleLimits limits;
  if (exclude) {
    limits.exclude = TargetModules::parse(*exclude);
    if (limits.exclude->kind == TargetModules::Kind::all_linear)
      throw UsageError("--exclude: expected names or regex:PATTERN, found all-linear");
    TargetSelection selection = select_targets(*limits.exclude, all);
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
  std::erase_if(left, [&](const LinearShape& shape) { return is_saved_module(config.modules_to_save, shape.name); });
  if (left.empty())
    throw UsageError("--exclude, --modules-to-save: expected to leave a module to adapt, found none left");
  if (left.size() == selected.size()) return;
  targets = {};
  for (const LinearShape& shape : left) targets.names.push_back(shape.name);
}

Adapter LoraFlags::adapter(const LoraConfig& config, const DevicePtr& device, const Base& base,
                           std::uint64_t seed) const {
  if (init_adapter) return open_adapter(*init_adapter, base, device, true);
  Adapter adapter = make_adapter(device, config, base.model.linear_shapes(), seed);
  adapter.parameters_of_base = parameters_to_train(base.model, config, adapter.modules);
  return adapter;
}

}  // namespace loragrad
