#define PCRE2_CODE_UNIT_WIDTH 8
#include "lora/patterns.h"

#include <pcre2.h>

#include <algorithm>

#include "engine/error.h"
#include "io/json.h"

namespace loragrad {
namespace {

std::string reason(int error) {
  PCRE2_UCHAR text[160];
  pcre2_get_error_message(error, text, sizeof text / sizeof *text);
  return reinterpret_cast<const char*>(text);
}

template <class Value>
std::vector<std::pair<NamePattern, Value>> compile(const std::string& field,
                                                   std::vector<std::pair<std::string, Value>> keys,
                                                   ModuleRanks::Order order) {
  if (order == ModuleRanks::Order::sorted)
    std::stable_sort(keys.begin(), keys.end(), [](const auto& x, const auto& y) { return x.first < y.first; });
  std::vector<std::pair<NamePattern, Value>> result;
  for (const auto& [key, value] : keys) {
    NamePattern alone(field, key);  // "a)|(b" is a pattern only between the parentheses below
    result.emplace_back(NamePattern(field, "(.*\\.)?(" + key + ")"), value);
  }
  return result;
}

template <class Value>
Value first_match(const std::vector<std::pair<NamePattern, Value>>& patterns, std::string_view name, Value otherwise) {
  for (const auto& [pattern, value] : patterns)
    if (pattern.matches(name)) return value;
  return otherwise;
}

}  // namespace

struct NamePattern::Impl {
  std::string field, pattern;
  pcre2_code* code = nullptr;
  ~Impl() { pcre2_code_free(code); }
};

NamePattern::NamePattern(const std::string& field, std::string_view pattern) : impl_(std::make_unique<Impl>()) {
  impl_->field = field;
  impl_->pattern = escaped(pattern, 200);
  int error = 0;
  PCRE2_SIZE at = 0;
  impl_->code = pcre2_compile(reinterpret_cast<PCRE2_SPTR>(pattern.data()), pattern.size(),
                              PCRE2_ANCHORED | PCRE2_ENDANCHORED | PCRE2_UTF | PCRE2_UCP, &error, &at, nullptr);
  if (!impl_->code)
    throw UsageError(field + ": expected a regular expression, found \"" + impl_->pattern + "\" (" + reason(error) +
                     " at " + std::to_string(at) + ")");
}
NamePattern::NamePattern(NamePattern&&) noexcept = default;
NamePattern::~NamePattern() = default;

bool NamePattern::matches(std::string_view name) const {
  std::unique_ptr<pcre2_match_data, void (*)(pcre2_match_data*)> data(
      pcre2_match_data_create_from_pattern(impl_->code, nullptr), pcre2_match_data_free);
  int found =
      pcre2_match(impl_->code, reinterpret_cast<PCRE2_SPTR>(name.data()), name.size(), 0, 0, data.get(), nullptr);
  if (found < 0 && found != PCRE2_ERROR_NOMATCH)
    throw UsageError(impl_->field + ": expected a pattern that can be searched for, found \"" + impl_->pattern +
                     "\" (" + reason(found) + ")");
  return found >= 0;
}

ModuleRanks::ModuleRanks(const LoraConfig& config, Order order)
    : config_(config),
      ranks_(compile("rank_pattern", config.rank_pattern, order)),
      alphas_(compile("alpha_pattern", config.alpha_pattern, order)) {}

std::int64_t ModuleRanks::rank(std::string_view name) const { return first_match(ranks_, name, config_.r); }
double ModuleRanks::alpha(std::string_view name) const { return first_match(alphas_, name, config_.lora_alpha); }

std::string quoted_pattern(std::string_view name) {
  std::string result;
  for (char c : name) {
    if (std::string_view("\\^$.|?*+()[]{}").find(c) != std::string_view::npos) result += '\\';
    result += c;
  }
  return result;
}

}  // namespace loragrad
