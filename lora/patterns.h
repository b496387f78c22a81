#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "lora/config.h"

namespace loragrad {

/// A regular expression for module names, as Python's re reads it (lora/python_regex/python_regex.h), run by PCRE2. Immutable.
class NamePattern {
 public:
  /// re.fullmatch, or re.match, which the start of a name is enough for.
  enum class Extent { whole, start };
  /// UsageError("FIELD: expected a regular expression as Python reads them, found "PATTERN" (REASON)").
  NamePattern(const std::string& field, std::string_view pattern, Extent extent = Extent::whole);
  NamePattern(NamePattern&&) noexcept;
  ~NamePattern();
  /// UsageError when the search runs past PCRE2's limits, which only a pattern of nested repetitions does.
  bool matches(std::string_view name) const;
  /// What the named group matched; none where the pattern does not match, or the group had no part in it.
  std::optional<std::string> group(std::string_view name, const std::string& group) const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// What a key of `field`, rank_pattern or alpha_pattern, matches: `(.*\.)?(KEY)$` from a name's start.
NamePattern key_pattern(const std::string& field, const std::string& key);

/// r, alpha and s of every module: the first key K of rank_pattern, of alpha_pattern, for which `(.*\.)?(K)$` matches
/// the name from its start decides, else r and lora_alpha. PEFT's get_pattern_key.
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
