#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "io/json.h"
#include "models/config.h"

namespace loragrad {

/// Reads one config.json with defaults, within sane limits, and reports wrong values by file and key.
class ConfigReader {
 public:
  explicit ConfigReader(const JsonRef& root) : root_(root) {}
  /// A size in [1, 2^31), or the default where the key is absent.
  std::int64_t size(const char* key, std::optional<std::int64_t> fallback = std::nullopt) const;
  double positive(const char* key, double fallback) const;
  bool flag(const char* key, bool fallback) const;
  Activation activation(const char* key, const char* fallback) const;
  /// InputError unless the key is absent, null or `value`: a variant we would compute wrongly.
  void require(const char* key, bool value) const;
  /// InputError naming the key, unless heads divide the width.
  void require_divisor(const char* key, std::int64_t heads, std::int64_t width) const;
  /// InputError: the key, what was expected, and what its value, or its default's, was.
  [[noreturn]] void fail(const char* key, std::int64_t found, const std::string& expected) const;
  const JsonRef& root() const { return root_; }

 private:
  JsonRef root_;
};

/// Fields of every family: head counts that must divide, end tokens of config.json and (`folder` not empty)
/// generation_config.json.
void finish_config(ModelConfig& config, const JsonRef& root, const std::string& folder);

/// 1/base^(2i/D), i < D/2, rescaled by rope_parameters or rope_scaling ("default", "linear", "llama3").
RopeFrequencies read_rope(const JsonRef& root, std::int64_t head_dim, double default_theta);

}  // namespace loragrad
