#include "app/flags/lora_values.h"

#include <fmt/format.h>

#include <charconv>
#include <string_view>

#include "engine/error.h"
#include "io/json.h"
#include "lora/config.h"

namespace loragrad {
namespace {

/// The parts between commas; UsageError for an empty one.
std::vector<std::string> parts_of(const char* flag, const char* expected, const std::string& text) {
  std::vector<std::string> parts;
  for (std::size_t begin = 0, end; begin <= text.size(); begin = end + 1) {
    end = std::min(text.find(',', begin), text.size());
    parts.push_back(text.substr(begin, end - begin));
    if (parts.back().empty())
      throw UsageError(fmt::format("--{}: expected {}, found \"{}\"", flag, expected, escaped(text)));
  }
  return parts;
}

template <class T>
bool read_number(std::string_view text, T& value) {
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && end == text.data() + text.size();
}

template <class T>
std::vector<std::pair<std::string, T>> pattern_of(const char* flag, const std::string& text) {
  constexpr const char* expected = "NAME=NUMBER with commas between";
  std::vector<std::pair<std::string, T>> pattern;
  for (const std::string& part : parts_of(flag, expected, text)) {
    std::size_t equals = part.rfind('=');
    T value{};
    if (equals == 0 || equals == std::string::npos || !read_number(std::string_view(part).substr(equals + 1), value))
      throw UsageError(fmt::format("--{}: expected {}, found \"{}\"", flag, expected, escaped(part)));
    pattern.emplace_back(part.substr(0, equals), value);
  }
  return pattern;
}

}  // namespace

std::vector<std::string> module_names_of(const std::string& text) {
  TargetModules list = TargetModules::parse(text, "--modules-to-save");
  if (list.kind != TargetModules::Kind::names)
    throw UsageError(fmt::format("--modules-to-save: expected names, found \"{}\"", escaped(text)));
  return list.names;
}

std::vector<std::pair<std::string, std::int64_t>> ranks_of(const std::string& text) {
  return pattern_of<std::int64_t>("rank-pattern", text);
}
std::vector<std::pair<std::string, double>> alphas_of(const std::string& text) {
  return pattern_of<double>("alpha-pattern", text);
}

std::vector<TokenId> tokens_of(const std::string& text, const Tokenizer* tokenizer) {
  std::vector<TokenId> ids;
  for (const std::string& part : parts_of("trainable-tokens", "ids or texts with commas between", text)) {
    TokenId id = 0;
    if (read_number(part, id)) {
      ids.push_back(id);
      continue;
    }
    auto refuse = [&](const std::string& found) {
      throw InputError(fmt::format("--trainable-tokens: expected an id, or a text that is one token, found \"{}\"{}",
                                   escaped(part, 200), found));
    };
    if (!tokenizer) refuse(" and no tokenizer beside the model");
    if (auto known = tokenizer->id_of(part)) {
      ids.push_back(*known);
      continue;
    }
    std::vector<TokenId> encoded = tokenizer->encode(part, false);
    if (encoded.size() != 1) refuse(fmt::format(", which is {}", encoded.size()));
    ids.push_back(encoded.front());
  }
  return ids;
}

std::vector<std::int64_t> layers_of(const std::string& text) {
  std::vector<std::int64_t> layers;
  const char *at = text.data(), *end = at + text.size();
  auto number = [&](std::int64_t& value) {
    constexpr std::int64_t most = 1 << 20;
    auto [behind, error] = std::from_chars(at, end, value);
    bool good = error == std::errc() && value >= 0 && value < most;
    at = behind;
    return good;
  };
  while (true) {
    std::int64_t first = 0, last = 0;
    bool good = number(first);
    last = first;
    if (good && at != end && *at == '-') good = ++at, number(last);
    if (!good || last < first || (at != end && *at != ','))
      throw UsageError(fmt::format("--layers: expected numbers and ranges with commas between, as 0-3,7, found \"{}\"",
                                   escaped(text)));
    for (std::int64_t layer = first; layer <= last; ++layer) layers.push_back(layer);
    if (at++ == end) return layers;
  }
}

}  // namespace loragrad
