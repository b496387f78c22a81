#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "app/flags/flag_entry.h"
#include "data/unicode.h"
#include "engine/error.h"
#include "io/flat_yaml.h"
#include "io/json.h"
#include "io/mapped_file.h"

namespace loragrad {
namespace {

template <std::size_t N>
bool is_among(const std::string& text, const std::array<const char*, N>& words) {
  return std::find(words.begin(), words.end(), text) != words.end();
}

// What a plain scalar is in YAML 1.2's core schema (10.3.2).
bool is_true(const YamlScalar& scalar) {
  return scalar.plain && is_among(scalar.text, std::array{"true", "True", "TRUE"});
}
bool is_false(const YamlScalar& scalar) {
  return scalar.plain && is_among(scalar.text, std::array{"false", "False", "FALSE"});
}
bool is_null(const YamlScalar& scalar) {
  return scalar.plain && is_among(scalar.text, std::array{"", "~", "null", "Null", "NULL"});
}

std::string found_text(const YamlScalar& scalar) {
  if (is_null(scalar)) return "nothing";
  return scalar.plain ? escaped(scalar.text) : "the text \"" + escaped(scalar.text) + "\"";
}

bool is_utf8(std::string_view text) { return invalid_utf8(text) == std::string_view::npos; }

}  // namespace

/// The scalar as the flag's word; UsageError for another type.
std::string Flags::config_word(const Entry& entry, const YamlScalar& scalar, const std::string& place) const {
  auto wrong = [&](const char* expected, const char* hint = "") {
    return UsageError(
        fmt::format("{}: {}: expected {}, found {}{}", place, entry.name, expected, found_text(scalar), hint));
  };
  switch (entry.kind) {
    case Entry::Kind::toggle:
      if (!is_true(scalar) && !is_false(scalar)) throw wrong("true or false");
      return is_true(scalar) ? "true" : "false";
    case Entry::Kind::number:
      if (!scalar.plain || is_null(scalar)) throw wrong("a number");
      break;
    case Entry::Kind::text:
      if (is_null(scalar)) throw wrong("a text");
      if (is_true(scalar) || is_false(scalar)) throw wrong("a text", " (in quotes it is one)");
  }
  return scalar.text;
}

void Flags::read_config(const std::string& path) {
  constexpr std::size_t largest = 1 << 20;
  auto file = MappedFile::open(path);
  if (file->size() > largest)
    throw UsageError(fmt::format("{}: expected flags as YAML, found {} bytes", path, file->size()));
  for (const YamlEntry& item : parse_yaml(file->text(), path)) {
    const std::string& key = item.key.text;
    std::string place = yaml_place(path, item.key);
    Entry* entry = find(key);
    if (!entry || entry->positional)
      throw UsageError(fmt::format("{}: unknown key {}{}", place, escaped(key), hint(key, "")));
    if (key == config_) throw UsageError(fmt::format("{}: {}: expected no other file in it, found one", place, key));
    if (item.is_list && !entry->repeated)
      throw UsageError(fmt::format("{}: {}: expected one value, found a list", place, key));
    std::vector<std::string> words, places;
    for (const YamlScalar& scalar : item.values) {
      places.push_back(yaml_place(path, scalar));
      words.push_back(config_word(*entry, scalar, places.back()));
    }
    // A word of the command line wins, but is no excuse for a wrong value here.
    if (!entry->given.empty()) continue;
    entry->given = std::move(words);
    entry->places = std::move(places);
  }
}

std::string Flags::yaml(const std::vector<std::string>& without,
                        const std::map<std::string, std::string>& resolved) const {
  std::string out;
  for (const auto& entry : entries_) {
    auto other = resolved.find(entry->name);
    std::vector<std::string> values = other == resolved.end() ? entry->values() : std::vector{other->second};
    bool is_left_out = std::find(without.begin(), without.end(), entry->name) != without.end();
    if (entry->positional || entry->name == config_ || is_left_out || values.empty()) continue;
    if (!std::all_of(values.begin(), values.end(), is_utf8)) {
      out += fmt::format("# {}: no UTF-8, which YAML needs: give it as a flag\n", entry->name);
      continue;
    }
    auto shown = [&](const std::string& value) { return entry->kind == Entry::Kind::text ? yaml_text(value) : value; };
    if (!entry->repeated) {
      out += fmt::format("{}: {}\n", entry->name, shown(values.front()));
      continue;
    }
    out += fmt::format("{}:\n", entry->name);
    for (const std::string& value : values) out += fmt::format("  - {}\n", shown(value));
  }
  return out;
}

}  // namespace loragrad
