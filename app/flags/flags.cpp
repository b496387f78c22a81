#include "app/flags/flags.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>

#include "app/flags/flag_entry.h"
#include "app/flags/flag_values.h"
#include "app/flags/known_names.h"
#include "engine/error.h"
#include "io/json.h"
#include "io/nearest.h"

namespace loragrad {

namespace {

constexpr std::size_t longest_flag = 40;

template <class T>
std::vector<std::string> texts(const T& value) {
  return {fmt::format("{}", value)};
}
template <class T>
std::vector<std::string> texts(const std::optional<T>& value) {
  return value ? texts(*value) : std::vector<std::string>();
}

std::vector<std::string> texts_unless_empty(const std::string& value) {
  return value.empty() ? std::vector<std::string>() : texts(value);
}

/// "-1" and "-" are words like any other.
bool is_flag(const std::string& word) {
  return word.size() > 1 && word[0] == '-' && (word[1] == '-' || std::isalpha(static_cast<unsigned char>(word[1])));
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
                         std::function<void(const std::string&)> set,
                         std::function<std::vector<std::string>()> values) {
  auto entry = std::make_unique<Entry>();
  entry->name = name;
  entry->word = word;
  entry->help = help;
  entry->set = std::move(set);
  entry->values = std::move(values);
  if (auto now = entry->values(); now.size() == 1) entry->fallback = now.front();
  entries_.push_back(std::move(entry));
  return *entries_.back();
}

template <class T, class Read>
void Flags::number_flag(const std::string& name, const std::string& word, T& value, const std::string& help,
                        Read read) {
  add(
      name, word, help, [=, &value](const std::string& text) { value = read(text); }, [&value] { return texts(value); })
      .kind = Entry::Kind::number;
}
void Flags::integer(const std::string& name, std::int64_t& value, std::int64_t min, std::int64_t max,
                    const std::string& help) {
  number_flag(name, "N", value, help, [=](const std::string& text) { return read_integer(name, text, min, max); });
}
void Flags::integer(const std::string& name, std::optional<std::int64_t>& value, std::int64_t min, std::int64_t max,
                    const std::string& help) {
  number_flag(name, "N", value, help, [=](const std::string& text) { return read_integer(name, text, min, max); });
}
void Flags::seed(const std::string& name, std::uint64_t& value, const std::string& help) {
  number_flag(name, "N", value, help, [=](const std::string& text) { return read_seed(name, text); });
}
void Flags::number(const std::string& name, double& value, double min, double max, const std::string& help) {
  number_flag(name, "X", value, help, [=](const std::string& text) { return read_number(name, text, min, max); });
}
void Flags::number(const std::string& name, std::optional<double>& value, double min, double max,
                   const std::string& help) {
  number_flag(name, "X", value, help, [=](const std::string& text) { return read_number(name, text, min, max); });
}
void Flags::bytes(const std::string& name, std::optional<std::size_t>& value, const std::string& help) {
  add(
      name, "BYTES", help, [=, &value](const std::string& text) { value = read_bytes(name, text); },
      [&value] { return texts(value); });
}
void Flags::text(const std::string& name, std::string& value, const std::string& word, const std::string& help) {
  add(
      name, word, help, [=, &value](const std::string& text) { value = read_text(name, word, text); },
      [&value] { return texts_unless_empty(value); });
}
void Flags::text(const std::string& name, std::optional<std::string>& value, const std::string& word,
                 const std::string& help) {
  add(
      name, word, help, [=, &value](const std::string& text) { value = read_text(name, word, text); },
      [&value] { return texts(value); });
}
void Flags::word(const std::string& name, std::string& value, const std::string& word,
                 const std::function<bool(const std::string&)>& is_one, const std::string& expected,
                 const std::string& help) {
  add(
      name, word, help,
      [=, &value](const std::string& text) {
        if (!is_one(text)) wrong_value(name, expected, text);
        value = text;
      },
      [&value] { return texts_unless_empty(value); });
}
void Flags::choice(const std::string& name, std::string& value, const std::vector<std::string>& choices,
                   const std::string& help) {
  auto is_one = [choices](const std::string& text) {
    return std::find(choices.begin(), choices.end(), text) != choices.end();
  };
  word(name, value, fmt::format("{}", fmt::join(choices, "|")), is_one,
       fmt::format("one of {}", fmt::join(choices, ", ")), help);
}
void Flags::toggle(const std::string& name, bool& value, const std::string& help) {
  Entry& entry = add(
      name, "", help, [&value](const std::string& text) { value = text != "false"; },
      [&value] { return std::vector<std::string>{value ? "true" : "false"}; });
  entry.kind = Entry::Kind::toggle;
  entry.fallback.clear();
}
void Flags::list(const std::string& name, std::vector<std::string>& values, const std::string& word,
                 const std::string& help) {
  add(
      name, word, help, [=, &values](const std::string& text) { values.push_back(read_text(name, word, text)); },
      [&values] { return values; })
      .repeated = true;
}
void Flags::positional(const std::string& name, std::string& value, const std::string& help, Positional need) {
  Entry& entry = add(
      name, name, help, [&value](const std::string& text) { value = text; }, [&value] { return texts(value); });
  entry.positional = true;
  entry.required = need == Positional::required;
}
void Flags::config(const std::string& name) {
  config_ = name;
  text(name, config_file_, "FILE.yaml", "flags as YAML, `name: value`; those given as words win");
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
  return entry && !entry->given.empty() && !entry->repeats_default;
}

/// Hands each flag its values, word for word: the next word, whatever it begins with, or what follows "=". False when
/// help is asked for. `extras` are the words that nothing takes.
bool Flags::cut(const std::vector<std::string>& words, std::vector<std::string>& extras) const {
  for (const auto& entry : entries_) {
    entry->given.clear();
    entry->places.clear();
  }
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
      entry->given.push_back(has_value ? word.substr(equals + 1) : entry->is_toggle() ? "true" : words[++i]);
  }
  return true;
}

bool Flags::parse(const std::vector<std::string>& words) {
  std::vector<std::string> extras;
  if (!cut(words, extras)) return false;
  check_words(extras);
  for (const auto& entry : entries_)
    if (entry->given.size() > 1 && !entry->repeated)
      throw UsageError(fmt::format("{}: given {} times, expected once", entry->label(), entry->given.size()));
  if (const Entry* file = find(config_); file && !file->given.empty()) read_config(file->given.front());
  for (const auto& entry : entries_) {
    if (entry->given.empty() && entry->required)
      throw UsageError(fmt::format("{}: {} is required (see loragrad {} --help)", command_, entry->label(), command_));
    std::vector<std::string> before = entry->values();
    for (std::size_t i = 0; i < entry->given.size(); ++i) set(*entry, i);
    entry->repeats_default = !entry->places.empty() && entry->values() == before;
  }
  return true;
}

void Flags::set(const Entry& entry, std::size_t i) {
  try {
    entry.set(entry.given[i]);
  } catch (const UsageError& error) {
    if (entry.places.empty()) throw;
    throw UsageError(entry.places[i] + ": " + std::string(error.what()).substr(2));  // without the dashes
  }
}

void Flags::check_words(const std::vector<std::string>& extras) const {
  if (extras.empty()) return;
  const std::string& word = extras.front();
  if (!is_flag(word)) {
    // "learning_rate=1e-4", as Hydra's programs take it.
    std::string known = word.find('=') == std::string::npos ? "" : known_hint(word);
    throw UsageError(fmt::format("{}: unexpected word \"{}\"{}", command_, escaped(word),
                                 known.empty() ? fmt::format(" (see loragrad {} --help)", command_) : known));
  }
  std::string name = word.substr(0, word.find('='));
  throw UsageError(fmt::format("{}: unknown flag {}{}", command_, escaped(name), hint(name, "--")));
}

std::string Flags::known_hint(const std::string& word) const {
  return known_name_hint(flag_name(word), [&](const std::string& name) {
    const Entry* entry = find(name);
    return entry && !entry->positional;
  });
}

std::string Flags::hint(const std::string& name, const std::string& dashes) const {
  if (std::string known = known_hint(name); !known.empty()) return known;
  std::vector<std::string> names;
  for (const auto& entry : entries_)
    if (!entry->positional) names.push_back(dashes + entry->name);
  std::string near = nearest(name, names);
  return near.empty() ? "" : ": did you mean " + near + "?";
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
