#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "lora/config.h"

namespace loragrad {

/// A regular expression for whole module names: Python's re.fullmatch, run by PCRE2. Immutable.
class NamePattern {
 public:
  /// UsageError("FIELD: expected a regular expression, found "PATTERN" (REASON at N)").
  NamePattern(const std::string& field, std::string_view pattern);
  NamePattern(NamePattern&&) noexcept;
  ~NamePattern();
  /// UsageError when the search runs past PCRE2's limits, which only a pattern of nested repetitions does.
  bool matches(std::string_view name) const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// r, alpha and s of every module: the first key K of rank_pattern, of alpha_pattern, for which `(.*\.)?(K)` matches
/// the whole name decides, else r and lora_alpha. PEFT's get_pattern_key.
class ModuleRanks {
 public:
  /// Keys are tried in the order of the configuration, or sorted, which is how PEFT's files have them.
  enum class Order { given, sorted };
  explicit ModuleRanks(const LoraConfig& config, Order order = Order::given);

  std::int64_t rank(std::string_view name) const;
  double alpha(std::string_view name) const;
  double scale(std::string_view name) const { return config_.scaling(rank(name), alpha(name)); }

 private:
  LoraConfig config_;
  std::vector<std::pair<NamePattern, std::int64_t>> ranks_;
  std::vector<std::pair<NamePattern, double>> alphas_;
};

/// `name` as a regular expression that matches nothing else.
std::string quoted_pattern(std::string_view name);

}  // namespace loragrad
