#include "bench/step_options.h"

#include <charconv>
#include <string_view>

namespace loragrad::bench {
namespace {

std::optional<std::int64_t> positive(std::string_view text) {
  std::int64_t value = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value < 1) return std::nullopt;
  return value;
}

}  // namespace

const char* const step_usage =
    "usage: step MODEL [flags]      a training step, its parts, and how near it comes to matrix products alone\n"
    "  --rows N         rows of a step (4)\n"
    "  --length N|N-M   tokens of a row, or mixed evenly between two numbers (256)\n"
    "  --bf16           products of bf16 (f32)\n"
    "  --all-linear     adapters on all linear maps (the family's default)\n"
    "  --full           all parameters are trained instead of an adapter of rank 16\n"
    "  --threads N      (all that may be used)\n"
    "  --steps N        steps that are timed, after one that warms up (5)\n";

std::optional<StepOptions> StepOptions::parse(int count, char** words) {
  StepOptions options;
  for (int i = 1; i < count; ++i) {
    std::string_view word = words[i];
    if (word == "--bf16" || word == "--all-linear" || word == "--full") {
      (word == "--bf16" ? options.bf16 : word == "--full" ? options.full : options.all_linear) = true;
      continue;
    }
    if (!word.starts_with("--")) {
      if (!options.model.empty()) return std::nullopt;
      options.model = word;
      continue;
    }
    if (++i == count) return std::nullopt;
    std::string_view value = words[i];
    auto dash = word == "--length" ? value.find('-') : std::string_view::npos;
    auto first = positive(value.substr(0, dash));
    auto second = dash == std::string_view::npos ? first : positive(value.substr(dash + 1));
    if (!first || !second || *second < *first) return std::nullopt;
    if (word == "--rows")
      options.rows = *first;
    else if (word == "--length")
      options.shortest = *first, options.longest = *second;
    else if (word == "--threads")
      options.threads = static_cast<int>(*first);
    else if (word == "--steps")
      options.steps = *first;
    else
      return std::nullopt;
  }
  if (options.model.empty() || (options.full && options.all_linear)) return std::nullopt;
  return options;
}

}  // namespace loragrad::bench
