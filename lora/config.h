#pragma once
// Threads: values and functions of their arguments alone; any thread may use them.
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace loragrad {

/// Which linear maps get an adapter, in PEFT's words.
struct TargetModules {
  enum class Kind { names, all_linear, regex };
  Kind kind = Kind::names;
  std::vector<std::string> names;  ///< a module's full name, or its end after a dot; empty: the family's default
  std::string pattern;             ///< matches the whole name

  TargetModules() = default;
  TargetModules(std::initializer_list<std::string> list) : names(list) {}
  /// "q_proj,v_proj", "all-linear" or "regex:PATTERN"; UsageError, of the field, for an empty name or pattern.
  static TargetModules parse(std::string_view text, std::string_view field = "target_modules");
  std::string text() const;
};

/// How A and B start. The last two take a part s B0 A0 of the base out of it, which the adapter then starts as
/// (lora/initial_factors.h).
enum class LoraInit { standard, gaussian, orthogonal, pissa, olora };

/// PEFT's name: "gaussian"; "true" for standard.
std::string_view name_of(LoraInit init);
std::optional<LoraInit> init_named(std::string_view name);
/// Whether the adapter starts as a part of the base.
bool changes_base(LoraInit init);

/// Which biases of the base are trained too: none, those of the adapted maps, or all.
enum class TrainedBias { none, lora_only, all };

/// PEFT's word for it.
std::string_view name_of(TrainedBias bias);
std::optional<TrainedBias> bias_named(std::string_view name);

/// Tokens whose rows are trained: of the module that is called, or whose name ends, so; "" is the embedding.
struct TrainableTokens {
  std::string module;
  std::vector<std::int32_t> ids;
};

constexpr std::int64_t largest_rank = 65536;

/// PEFT's LoraConfig, with its names and defaults. Field order is PEFT's order of importance.
struct LoraConfig {
  std::int64_t r = 8;
  double lora_alpha = 8;
  TargetModules target_modules;
  double lora_dropout = 0;
  bool use_rslora = false;
  LoraInit init_lora_weights = LoraInit::standard;
  /// Ranks and alphas of single modules: the first key that is a regular expression for the module's name or for its
  /// end after a dot decides (lora/patterns.h).
  std::vector<std::pair<std::string, std::int64_t>> rank_pattern = {};
  std::vector<std::pair<std::string, double>> alpha_pattern = {};
  bool lora_bias = false;  ///< B has a bias, trained and scaled as B is
  bool use_dora = false;   ///< rows of W + s B A have a trained magnitude
  TrainedBias bias = TrainedBias::none;
  std::vector<std::string> modules_to_save = {};  ///< ends of the names of modules that are trained whole
  std::vector<TrainableTokens> trainable_token_indices = {};

  /// Whether what training starts from depends on the base's weights.
  bool starts_from_base() const {
    return use_dora || changes_base(init_lora_weights) || bias != TrainedBias::none || !modules_to_save.empty() ||
           !trainable_token_indices.empty();
  }
  /// s = alpha/r, or alpha/sqrt(r) with use_rslora (Kalajdzievski 2023), of modules that no pattern names.
  double scaling() const { return scaling(r, lora_alpha); }
  double scaling(std::int64_t rank, double alpha) const;
  /// UsageError for ranks outside [1, largest_rank], a dropout outside [0, 1), an alpha that is not finite, and what the variant refuses.
  void check() const;
};

}  // namespace loragrad
