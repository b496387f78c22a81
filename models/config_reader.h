#pragma once
#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "io/json.h"
#include "models/config.h"

namespace loragrad {

/// Reads one config.json with defaults, within sane limits, and reports wrong values by file and key. A key that is
/// absent has its default; null is a value, which only the keys that say so take: transformers 5 is as strict.
class ConfigReader {
 public:
  explicit ConfigReader(const JsonRef& root) : root_(root) {}
  /// The key's value, null included; none where it is absent.
  std::optional<JsonRef> find(const char* key);
  /// A size in [1, 2^31).
  std::int64_t size(const char* key, std::int64_t fallback);
  /// The same; null is the default as well.
  std::int64_t size_or_null(const char* key, std::int64_t fallback);
  /// The same, where null says that there is none of it: 0.
  std::int64_t size_or_zero(const char* key, std::int64_t fallback);
  /// A number of things in [0, 2^31).
  std::int64_t count(const char* key, std::int64_t fallback);
  double positive(const char* key, double fallback);
  bool flag(const char* key, bool fallback);
  Activation activation(const char* key, const char* fallback);
  /// InputError unless the key is absent or `wanted`: a variant we would compute wrongly.
  void require(const char* key, bool wanted);
  /// The same, where null means it as well.
  void require_or_null(const char* key, bool wanted);
  /// InputError unless the key is absent or null: something that changes the model in ways not known here.
  void refuse(const char* key);
  /// InputError naming the key, unless heads divide the width.
  void require_divisor(const char* key, std::int64_t heads, std::int64_t width) const;
  /// InputError: the key, what was expected, and what its value, or its default's, was.
  [[noreturn]] void fail(const char* key, std::int64_t found, const std::string& expected) const;
  const JsonRef& root() const { return root_; }
  /// Every key that was asked for so far: what of the file counts.
  const std::set<std::string>& keys() const { return keys_; }

 private:
  JsonRef root_;
  std::set<std::string> keys_;
};

/// Keys of any family that change the model in transformers and here nothing: refused, or, where only long generations
/// differ, told in c.warnings. What the family itself has read is its own.
void read_common_keys(ConfigReader& read, ModelConfig& c);

/// Fields of every family: head counts that must divide, end tokens of config.json and (`folder` not empty)
/// generation_config.json.
void finish_config(ModelConfig& config, const JsonRef& root, const std::string& folder);

}  // namespace loragrad
