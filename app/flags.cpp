#include "app/flags.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <charconv>
#include <cmath>
#include <numeric>

#include "app/known_names.h"
#include "engine/error.h"
#include "io/json.h"
#include "io/nearest.h"

namespace loragrad {

struct Flags::Entry {
  std::string name, word, help, fallback;
  std::function<void(const std::string&)> set;
  bool positional = false, required = false, repeated = false;
  std::vector<std::string> given;

  std::string label() const { return positional ? word : "--" + name; }
  bool is_toggle() const { return word.empty(); }
};

namespace {

constexpr std::size_t longest_flag = 40;

[[noreturn]] void wrong(const std::string& name, const std::string& expected, const std::string& found) {
  throw UsageError(fmt::format("--{}: expected {}, found \"{}\"", name, expected, escaped(found)));
}

/// "-1" and "-" are words like any other.
bool is_flag(const std::string& word) {
  return word.size() > 1 && word[0] == '-' && (word[1] == '-' || std::isalpha(static_cast<unsigned char>(word[1])));
}

template <class T>
T read_integer(const std::string& name, const std::string& text, T min, T max) {
  T value{};
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value < min || value > max)
    wrong(name,
          max >= std::numeric_limits<T>::max() ? fmt::format("an integer >= {}", min)
                                               : fmt::format("an integer in [{}, {}]", min, max),
          text);
  return value;
}

double read_number(const std::string& name, const std::string& text, double min, double max) {
  double value{};
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  bool bounded = max < std::numeric_limits<double>::max();
  if (error != std::errc() || end != text.data() + text.size() || !std::isfinite(value) || value < min || value > max)
    wrong(name, bounded ? fmt::format("a number in [{}, {}]", min, max) : fmt::format("a number >= {}", min), text);
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
  wrong(name, "a number of bytes such as 4GB, 1.5GiB or 500MB", text);
}

/// A path may not be empty; which flags take one, the words in their help say.
const std::string& checked_path(const std::string& name, const std::string& word, const std::string& text) {
  std::string_view path = word;
  if (path.starts_with('[')) path.remove_prefix(path.find(']') + 1);  // what may stand before it
  if (text.empty() && (path.starts_with("DIR") || path.starts_with("FILE") || path.starts_with("PATH")))
    wrong(name, "a path", text);
  return text;
}

}  // namespace

std::string nearest(const std::string& name, const std::vector<std::string>& names) {
  std::size_t letters = name.size() - std::min(name.find_first_not_of('-'), name.size());
  if (letters > longest_flag) return "";  // a text, not a flag
  std::string best;
  std::size_t least = std::max<std::size_t>(1, letters / 3);
  for (const std::string& candidate : names) {
    // A word cut short or run on ("--epoch", "evaluate") counts as near; one more word is another thing.
    bool cut = letters > 2 && candidate.starts_with(name);
    bool run_on = name.starts_with(candidate) && name[std::min(candidate.size(), name.size() - 1)] != '-';
    std::size_t distance = cut || run_on ? 1 : edit_distance(name, candidate);
    if (distance <= least && (best.empty() || distance < least)) {
      best = candidate;
      least = distance;
    }
  }
  return best;
}

Flags::Flags(std::string command, std::string summary) : command_(std::move(command)), summary_(std::move(summary)) {}
Flags::~Flags() = default;

Flags::Entry& Flags::add(const std::string& name, const std::string& word, const std::string& help,
                         std::function<void(const std::string&)> set) {
  auto entry = std::make_unique<Entry>();
  entry->name = name;
  entry->word = word;
  entry->help = help;
  entry->set = std::move(set);
  entries_.push_back(std::move(entry));
  return *entries_.back();
}

void Flags::text(const std::string& name, std::string& value, const std::string& word, const std::string& help) {
  add(name, word, help, [=, &value](const std::string& v) { value = checked_path(name, word, v); }).fallback = value;
}
void Flags::text(const std::string& name, std::optional<std::string>& value, const std::string& word,
                 const std::string& help) {
  add(name, word, help, [=, &value](const std::string& v) { value = checked_path(name, word, v); }).fallback =
      value.value_or("");
}
void Flags::integer(const std::string& name, std::int64_t& value, std::int64_t min, std::int64_t max,
                    const std::string& help) {
  add(name, "N", help, [=, &value](const std::string& v) { value = read_integer(name, v, min, max); }).fallback =
      std::to_string(value);
}
void Flags::integer(const std::string& name, std::optional<std::int64_t>& value, std::int64_t min, std::int64_t max,
                    const std::string& help) {
  add(name, "N", help, [=, &value](const std::string& v) { value = read_integer(name, v, min, max); });
}
void Flags::seed(const std::string& name, std::uint64_t& value, const std::string& help) {
  add(name, "N", help, [=, &value](const std::string& v) {
    value = read_integer<std::uint64_t>(name, v, 0, std::numeric_limits<std::uint64_t>::max());
  }).fallback = std::to_string(value);
}
void Flags::number(const std::string& name, double& value, double min, double max, const std::string& help) {
  add(name, "X", help, [=, &value](const std::string& v) { value = read_number(name, v, min, max); }).fallback =
      fmt::format("{}", value);
}
void Flags::number(const std::string& name, std::optional<double>& value, double min, double max,
                   const std::string& help) {
  add(name, "X", help, [=, &value](const std::string& v) { value = read_number(name, v, min, max); });
}
void Flags::bytes(const std::string& name, std::optional<std::size_t>& value, const std::string& help) {
  add(name, "BYTES", help, [=, &value](const std::string& v) { value = read_bytes(name, v); });
}
void Flags::word(const std::string& name, std::string& value, const std::string& word,
                 std::function<bool(const std::string&)> is_one, const std::string& expected, const std::string& help) {
  add(name, word, help, [=, &value](const std::string& v) {
    if (!is_one(v)) wrong(name, expected, v);
    value = v;
  }).fallback = value;
}
void Flags::choice(const std::string& name, std::string& value, const std::vector<std::string>& choices,
                   const std::string& help) {
  auto is_one = [choices](const std::string& v) {
    return std::find(choices.begin(), choices.end(), v) != choices.end();
  };
  word(name, value, fmt::format("{}", fmt::join(choices, "|")), is_one,
       fmt::format("one of {}", fmt::join(choices, ", ")), help);
}
void Flags::toggle(const std::string& name, bool& value, const std::string& help) {
  add(name, "", help, [&value](const std::string&) { value = true; });
}
void Flags::list(const std::string& name, std::vector<std::string>& values, const std::string& word,
                 const std::string& help) {
  add(name, word, help, [=, &values](const std::string& v) {
    values.push_back(checked_path(name, word, v));
  }).repeated = true;
}
void Flags::positional(const std::string& name, std::string& value, const std::string& help, Positional need) {
  Entry& entry = add(name, name, help, [&value](const std::string& v) { value = v; });
  entry.positional = true;
  entry.required = need == Positional::required;
}
void Flags::require(const std::vector<std::string>& names) {
  for (const std::string& name : names) find(name)->required = true;
}

Flags::Entry* Flags::find(const std::string& name) const {
  for (const auto& entry : entries_)
    if (entry->name == name) return entry.get();
  return nullptr;
}

bool Flags::given(const std::string& name) const {
  const Entry* entry = find(name);
  return entry && !entry->given.empty();
}

/// Hands each flag its values, word for word: the next word, whatever it begins with, or what follows "=". False when
/// help is asked for. `extras` are the words that nothing takes.
bool Flags::cut(const std::vector<std::string>& words, std::vector<std::string>& extras) const {
  for (const auto& entry : entries_) entry->given.clear();
  bool flags_end = false;
  for (std::size_t i = 0; i < words.size(); ++i) {
    const std::string& word = words[i];
    if (flags_end || !is_flag(word)) {
      auto place = std::find_if(entries_.begin(), entries_.end(),
                                [](const auto& entry) { return entry->positional && entry->given.empty(); });
      (place != entries_.end() ? (*place)->given : extras).push_back(word);
      continue;
    }
    if (word == "--help" || word == "-h") return false;
    if ((flags_end = word == "--")) continue;
    std::size_t equals = word.find('=');
    Entry* entry = word.starts_with("--") ? find(word.substr(2, equals - 2)) : nullptr;
    bool has_value = equals != std::string::npos;
    if (!entry || entry->positional)
      extras.push_back(word);
    else if (entry->is_toggle() && has_value)
      throw UsageError(
          fmt::format("{}: expected no value, found \"{}\"", entry->label(), escaped(word.substr(equals + 1))));
    else if (!entry->is_toggle() && !has_value && i + 1 == words.size())
      throw UsageError(fmt::format("{}: expected {}, found nothing behind it", entry->label(), entry->word));
    else
      entry->given.push_back(has_value ? word.substr(equals + 1) : entry->is_toggle() ? "" : words[++i]);
  }
  return true;
}

bool Flags::parse(const std::vector<std::string>& words) {
  std::vector<std::string> extras;
  if (!cut(words, extras)) return false;
  check_words(extras);
  for (const auto& entry : entries_) {
    if (entry->given.size() > 1 && !entry->repeated)
      throw UsageError(fmt::format("{}: given {} times, expected once", entry->label(), entry->given.size()));
    if (entry->given.empty() && entry->required)
      throw UsageError(fmt::format("{}: {} is required (see loragrad {} --help)", command_, entry->label(), command_));
    for (const std::string& value : entry->given) entry->set(value);
  }
  return true;
}

void Flags::check_words(const std::vector<std::string>& extras) const {
  if (extras.empty()) return;
  const std::string& word = extras.front();
  std::string known = known_name_hint(flag_name(word), [&](const std::string& name) {
    const Entry* entry = find(name);
    return entry && !entry->positional;
  });
  if (!is_flag(word)) {
    // "learning_rate=1e-4", as Hydra's programs take it.
    std::string hint = word.find('=') == std::string::npos || known.empty()
                           ? fmt::format(" (see loragrad {} --help)", command_)
                           : known;
    throw UsageError(fmt::format("{}: unexpected word \"{}\"{}", command_, escaped(word), hint));
  }
  std::vector<std::string> names;
  for (const auto& entry : entries_)
    if (!entry->positional) names.push_back(entry->label());
  std::string name = word.substr(0, word.find('='));
  std::string near = known.empty() ? nearest(name, names) : "";
  throw UsageError(fmt::format("{}: unknown flag {}{}", command_, escaped(name),
                               near.empty() ? known : ": did you mean " + near + "?"));
}

std::string Flags::help() const {
  std::string out = fmt::format("loragrad {}", command_);
  for (const auto& e : entries_)
    if (e->positional)
      out += e->required ? " " + e->word : fmt::format(" [{}]", e->word);
    else if (e->required)
      out += fmt::format(" {} {}", e->label(), e->word);
  out += fmt::format(" [flags]\n{}\n\n", summary_);
  for (const auto& e : entries_) {
    std::string left = e->positional ? e->word : e->is_toggle() ? e->label() : e->label() + " " + e->word;
    std::string note = e->required && !e->positional ? " (required)" : "";
    if (e->repeated) note += " (may be repeated)";
    if (!e->fallback.empty()) note += fmt::format(" (default: {})", e->fallback);
    // A long left side has a line of its own.
    out += left.size() > 28 ? fmt::format("  {}\n  {:28}  {}{}\n", left, "", e->help, note)
                            : fmt::format("  {:28}  {}{}\n", left, e->help, note);
  }
  return out + fmt::format("  {:28}  {}\n", "-h, --help", "this text");
}

}  // namespace loragrad
