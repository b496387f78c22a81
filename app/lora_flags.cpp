#include "app/lora_flags.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "app/console.h"
#include "engine/error.h"
#include "io/message.h"
#include "lora/adapter_file.h"
#include "lora/matching.h"
#include "lora/variant.h"
#include "models/model.h"

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

void LoraFlags::add(Flags& flags) {
  flags.integer("rank", rank, 1, 65536, "r of A [r, in] and B [out, r]");
  flags.number("alpha", alpha, -1e30, 1e30, "B A is scaled by alpha / rank (default: 2 x rank)");
  flags.number("dropout", dropout, 0, 1, "on the adapter's input, below 1");
  flags.text("target", target, "NAMES", "q_proj,v_proj | all-linear | regex:PATTERN (default: PEFT's for the family)");
  flags.choice("init", init, {"default", "gaussian"}, "of A, as PEFT's; B is zero");
  flags.toggle("rslora", rslora, "scale by alpha / sqrt(rank)");
  flags.toggle("lora-bias", lora_bias, "B has a bias, trained with it");
  flags.toggle("full", full, "train all parameters instead of an adapter");
  flags.text("init-adapter", init_adapter, "DIR", "start from a saved adapter; its config wins");
}

void LoraFlags::check(const Flags& flags) const {
  for (const char* name : {"rank", "alpha", "dropout", "target", "init", "rslora", "lora-bias", "init-adapter"}) {
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
  config.init_lora_weights = init == "gaussian" ? LoraInit::gaussian : LoraInit::standard;
  config.check();
  return config;
}

Adapter LoraFlags::adapter(const LoraConfig& config, const DevicePtr& device, const Base& base,
                           std::uint64_t seed) const {
  if (init_adapter) return open_adapter(*init_adapter, base, device, true);
  return make_adapter(device, config, base.model.linear_shapes(), seed);
}

}  // namespace loragrad
