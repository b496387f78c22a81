#pragma once
// Threads: values and functions of their arguments alone; any thread may use them.
#include <cstdint>
#include <initializer_list>
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
  /// "q_proj,v_proj", "all-linear" or "regex:PATTERN"; UsageError for an empty name or pattern.
  static TargetModules parse(std::string_view text);
  std::string text() const;
};

enum class LoraInit { standard, gaussian };

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

  /// s = alpha/r, or alpha/sqrt(r) with use_rslora (Kalajdzievski 2023), of modules that no pattern names.
  double scaling() const { return scaling(r, lora_alpha); }
  double scaling(std::int64_t rank, double alpha) const;
  /// UsageError for r < 1, a dropout outside [0, 1), an alpha that is not finite, and what the variant refuses.
  void check() const;
};

}  // namespace loragrad
