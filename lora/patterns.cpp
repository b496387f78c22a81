#define PCRE2_CODE_UNIT_WIDTH 8
#include "lora/patterns.h"

#include <pcre2.h>

#include <algorithm>
#include <map>

#include "engine/error.h"
#include "io/json.h"
#include "lora/python_regex/python_regex.h"

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
  for (const auto& [key, value] : keys) result.emplace_back(key_pattern(field, key), value);
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
  std::map<std::string, unsigned> groups;
  pcre2_code* code = nullptr;
  ~Impl() { pcre2_code_free(code); }

  using MatchData = std::unique_ptr<pcre2_match_data, void (*)(pcre2_match_data*)>;
  /// Null where the pattern does not match.
  MatchData match(std::string_view name) const;
};

NamePattern::NamePattern(const std::string& field, std::string_view pattern, Extent extent)
    : impl_(std::make_unique<Impl>()) {
  impl_->field = field;
  impl_->pattern = escaped(pattern, 200);
  auto refuse = [&](const std::string& why) {
    throw UsageError(field + ": expected a regular expression as Python reads them, found \"" + impl_->pattern +
                     "\" (" + why + ")");
  };
  TranslatedRegex translated;
  try {
    translated = python_to_pcre2(pattern);
  } catch (const UsageError& error) {
    refuse(error.what());
  }
  impl_->groups = std::move(translated.groups);
  std::unique_ptr<pcre2_compile_context, void (*)(pcre2_compile_context*)> context(
      pcre2_compile_context_create(nullptr), pcre2_compile_context_free);
  pcre2_set_newline(context.get(), PCRE2_NEWLINE_LF);
  int error = 0;
  PCRE2_SIZE at = 0;
  std::uint32_t ends = extent == Extent::whole ? PCRE2_ENDANCHORED : 0;
  impl_->code = pcre2_compile(reinterpret_cast<PCRE2_SPTR>(translated.pcre2.data()), translated.pcre2.size(),
                              PCRE2_ANCHORED | PCRE2_UTF | PCRE2_UCP | PCRE2_NEVER_BACKSLASH_C | ends, &error, &at,
                              context.get());
  if (!impl_->code) refuse(reason(error));
}
NamePattern::NamePattern(NamePattern&&) noexcept = default;
NamePattern::~NamePattern() = default;

NamePattern::Impl::MatchData NamePattern::Impl::match(std::string_view name) const {
  MatchData data(pcre2_match_data_create_from_pattern(code, nullptr), pcre2_match_data_free);
  int found = pcre2_match(code, reinterpret_cast<PCRE2_SPTR>(name.data()), name.size(), 0, 0, data.get(), nullptr);
  if (found < 0 && found != PCRE2_ERROR_NOMATCH)
    throw UsageError(field + ": expected a pattern that can be searched for, found \"" + pattern + "\" (" +
                     reason(found) + ")");
  if (found < 0) data.reset();
  return data;
}

bool NamePattern::matches(std::string_view name) const { return impl_->match(name) != nullptr; }

std::optional<std::string> NamePattern::group(std::string_view name, const std::string& group) const {
  Impl::MatchData data = impl_->match(name);
  auto number = impl_->groups.find(group);
  if (!data || number == impl_->groups.end()) return {};
  const PCRE2_SIZE* ends = pcre2_get_ovector_pointer(data.get()) + 2 * std::size_t{number->second};
  if (ends[0] == PCRE2_UNSET) return {};
  return std::string(name.substr(ends[0], ends[1] - ends[0]));
}

NamePattern key_pattern(const std::string& field, const std::string& key) {
  NamePattern alone(field, key);  // "a)|(b" is a pattern only between the parentheses below
  return {field, "(.*\\.)?(" + key + ")$", NamePattern::Extent::start};
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
