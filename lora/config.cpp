#include "lora/config.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <iterator>

#include "engine/error.h"
#include "io/json.h"
#include "lora/head_name.h"
#include "lora/trained_rows.h"
#include "lora/variant.h"

namespace loragrad {
namespace {

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
  while (!text.empty() && text.back() == ' ') text.remove_suffix(1);
  return text;
}

[[noreturn]] void fail(std::string_view field, std::string_view expected, const std::string& found) {
  throw UsageError(fmt::format("{}: expected {}, found {}", field, expected, found));
}

}  // namespace

TargetModules TargetModules::parse(std::string_view text, std::string_view field) {
  constexpr std::string_view regex = "regex:";
  TargetModules result;
  if (text == "all-linear") {
    result.kind = Kind::all_linear;
  } else if (text.starts_with(regex)) {
    result.kind = Kind::regex;
    result.pattern = text.substr(regex.size());
    if (result.pattern.empty()) fail(field, "a pattern after regex:", "none");
  } else {
    for (std::size_t begin = 0, end; begin <= text.size(); begin = end + 1) {
      end = std::min(text.find(',', begin), text.size());
      std::string_view name = trimmed(text.substr(begin, end - begin));
      if (name.empty())
        fail(field, "names with commas between, all-linear or regex:PATTERN", '"' + escaped(text) + '"');
      result.names.push_back(with_new_head_name(std::string(name)));
    }
  }
  return result;
}

std::string TargetModules::text() const {
  if (kind == Kind::all_linear) return "all-linear";
  if (kind == Kind::regex) return "regex:" + pattern;
  return fmt::format("{}", fmt::join(names, ","));
}

namespace {

constexpr std::pair<LoraInit, std::string_view> inits[] = {{LoraInit::standard, "true"},
                                                           {LoraInit::gaussian, "gaussian"},
                                                           {LoraInit::orthogonal, "orthogonal"},
                                                           {LoraInit::pissa, "pissa"},
                                                           {LoraInit::olora, "olora"}};
constexpr std::pair<TrainedBias, std::string_view> biases[] = {
    {TrainedBias::none, "none"}, {TrainedBias::lora_only, "lora_only"}, {TrainedBias::all, "all"}};

template <class T, std::size_t n>
std::string_view name_in(const std::pair<T, std::string_view> (&table)[n], T value) {
  return std::find_if(table, table + n, [&](const auto& each) { return each.first == value; })->second;
}
template <class T, std::size_t n>
std::optional<T> value_in(const std::pair<T, std::string_view> (&table)[n], std::string_view name) {
  for (const auto& [value, text] : table)
    if (text == name) return value;
  return std::nullopt;
}

}  // namespace

std::string_view name_of(LoraInit init) { return name_in(inits, init); }
std::optional<LoraInit> init_named(std::string_view name) { return value_in(inits, name); }
std::string_view name_of(TrainedBias bias) { return name_in(biases, bias); }
std::optional<TrainedBias> bias_named(std::string_view name) { return value_in(biases, name); }

bool changes_base(LoraInit init) { return init == LoraInit::pissa || init == LoraInit::olora; }

double LoraConfig::scaling(std::int64_t rank, double alpha) const {
  double width = static_cast<double>(rank);
  return alpha / (use_rslora ? std::sqrt(width) : width);
}

void LoraConfig::check() const {
  auto check_rank = [](std::string_view field, std::int64_t value) {
    if (value < 1 || value > largest_rank)
      fail(field, fmt::format("an integer in [1, {}]", largest_rank), fmt::to_string(value));
  };
  auto check_alpha = [](std::string_view field, double value) {
    if (!std::isfinite(value)) fail(field, "a finite number", fmt::to_string(value));
  };
  check_rank("r", r);
  check_alpha("lora_alpha", lora_alpha);
  for (const auto& [key, value] : rank_pattern) check_rank("rank_pattern." + escaped(key), value);
  for (const auto& [key, value] : alpha_pattern) check_alpha("alpha_pattern." + escaped(key), value);
  if (!(lora_dropout >= 0 && lora_dropout < 1))
    fail("lora_dropout", "a number in [0, 1)", fmt::to_string(lora_dropout));
  check_token_indices(*this);
  variant_of(*this).check(*this);
}

}  // namespace loragrad
