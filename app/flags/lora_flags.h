#pragma once
#include <cstdint>
#include <optional>
#include <string>

#include "app/adapters.h"
#include "app/flags/flags.h"
#include "data/tokenizer/tokenizer.h"
#include "lora/adapter.h"

namespace loragrad {

/// A target that is no target is the flag's fault (UsageError); one that matches nothing is a model that does not have
/// it (InputError).
void check_targets(const TargetModules& targets, const std::vector<LinearShape>& all);

/// An adapter that could not be merged, as maps that it adapts have not all that it changes, can be trained: a warning.
void warn_of_unmergeable(const Adapter& adapter, const std::vector<LinearShape>& all);

/// Which adapter is trained, as flags; or with --full none.
struct LoraFlags {
  std::int64_t rank = 16;
  std::optional<double> alpha;
  double dropout = 0.05;
  std::optional<std::string> target, layers, exclude, modules_to_save, init_adapter;
  std::optional<std::string> rank_pattern, alpha_pattern, trainable_tokens;
  std::string init = "default", bias = "none";
  bool rslora = false, lora_bias = false, dora = false, full = false;

  void add(Flags& flags);
  /// --full has no adapter, and --init-adapter brings its own config: a flag that would not count is refused, or said
  /// to be unused.
  void check(const Flags& flags) const;
  /// The config for a model of this type; that of --init-adapter where there is one. The tokenizer, which may be null,
  /// tells which tokens texts are.
  LoraConfig config(const std::string& model_type, const Tokenizer* tokenizer) const;
  /// Checks the config's targets, and with --layers or --exclude makes them the names of the modules that are left.
  void choose_modules(LoraConfig& config, const std::vector<LinearShape>& all) const;
  /// A fresh adapter of this config, or the one of --init-adapter, with its warnings printed.
  Adapter adapter(const LoraConfig& config, const DevicePtr& device, const Base& base, std::uint64_t seed) const;
  /// "rank_pattern.q_proj: ...", which is against a field of the configuration, as "--rank-pattern q_proj: ...".
  static std::string by_flag(const std::string& message);
};

}  // namespace loragrad
