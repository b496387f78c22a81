#include "app/flags/flag_values.h"

#include <fmt/format.h>

#include <charconv>
#include <cmath>
#include <limits>
#include <string_view>
#include <utility>

#include "engine/error.h"
#include "io/json.h"

namespace loragrad {
namespace {

template <class T>
T read_whole(const std::string& name, const std::string& text, T min, T max) {
  T value{};
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value < min || value > max)
    wrong_value(name,
                max >= std::numeric_limits<T>::max() ? fmt::format("an integer >= {}", min)
                                                     : fmt::format("an integer in [{}, {}]", min, max),
                text);
  return value;
}

}  // namespace

void wrong_value(const std::string& name, const std::string& expected, const std::string& found) {
  throw UsageError(fmt::format("--{}: expected {}, found \"{}\"", name, expected, escaped(found)));
}

std::int64_t read_integer(const std::string& name, const std::string& text, std::int64_t min, std::int64_t max) {
  return read_whole(name, text, min, max);
}

std::uint64_t read_seed(const std::string& name, const std::string& text) {
  return read_whole<std::uint64_t>(name, text, 0, std::numeric_limits<std::uint64_t>::max());
}

double read_number(const std::string& name, const std::string& text, double min, double max) {
  double value{};
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  bool bounded = max < std::numeric_limits<double>::max();
  if (error != std::errc() || end != text.data() + text.size() || !std::isfinite(value) || value < min || value > max)
    wrong_value(name, bounded ? fmt::format("a number in [{}, {}]", min, max) : fmt::format("a number >= {}", min),
                text);
  return value;
}

std::size_t read_bytes(const std::string& name, const std::string& text) {
  constexpr std::pair<std::string_view, double> units[] = {
      {"", 1},      {"B", 1},      {"KB", 1e3},     {"MB", 1e6},     {"GB", 1e9},
      {"TB", 1e12}, {"KiB", 1024}, {"MiB", 0x1p20}, {"GiB", 0x1p30}, {"TiB", 0x1p40}};
  double value{};
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, std::chars_format::fixed);
  if (error == std::errc() && value > 0) {
    std::string_view word(end, static_cast<std::size_t>(text.data() + text.size() - end));
    for (const auto& [unit, factor] : units)
      if (word == unit && value * factor >= 1 && value * factor < 0x1p60)
        return static_cast<std::size_t>(value * factor);
  }
  wrong_value(name, "a number of bytes such as 4GB, 1.5GiB or 500MB", text);
}

const std::string& read_text(const std::string& name, const std::string& word, const std::string& text) {
  std::string_view path = word;
  if (path.starts_with('[')) path.remove_prefix(path.find(']') + 1);  // what may stand before it
  if (text.empty() && (path.starts_with("DIR") || path.starts_with("FILE") || path.starts_with("PATH")))
    wrong_value(name, "a path", text);
  return text;
}

}  // namespace loragrad
