#pragma once
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace loragrad {

struct YamlScalar;

/// The flags of one subcommand: names, types, ranges, defaults and help in one place. A value is the word behind its
/// flag, or what follows "=", as it is. The bound variables hold the defaults, and must outlive parse().
class Flags {
 public:
  Flags(std::string command, std::string summary);
  Flags(const Flags&) = delete;
  Flags& operator=(const Flags&) = delete;
  ~Flags();

  // `name` without dashes; `word` stands for the value in the help text.
  void text(const std::string& name, std::string& value, const std::string& word, const std::string& help);
  void text(const std::string& name, std::optional<std::string>& value, const std::string& word,
            const std::string& help);
  void integer(const std::string& name, std::int64_t& value, std::int64_t min, std::int64_t max,
               const std::string& help);
  void integer(const std::string& name, std::optional<std::int64_t>& value, std::int64_t min, std::int64_t max,
               const std::string& help);
  void seed(const std::string& name, std::uint64_t& value, const std::string& help);
  /// A finite number in [min, max]. Finer limits are the library's to check.
  void number(const std::string& name, double& value, double min, double max, const std::string& help);
  void number(const std::string& name, std::optional<double>& value, double min, double max, const std::string& help);
  /// A number of bytes above 0, with a unit or without: 4GB, 1.5GiB, 500MB, 300MiB, 1000000.
  void bytes(const std::string& name, std::optional<std::size_t>& value, const std::string& help);
  /// A word that `is_one` takes; `expected` says which there are.
  void word(const std::string& name, std::string& value, const std::string& word,
            const std::function<bool(const std::string&)>& is_one, const std::string& expected,
            const std::string& help);
  void choice(const std::string& name, std::string& value, const std::vector<std::string>& choices,
              const std::string& help);
  void toggle(const std::string& name, bool& value, const std::string& help);
  /// May be given several times.
  void list(const std::string& name, std::vector<std::string>& values, const std::string& word,
            const std::string& help);
  /// The word without a flag.
  enum class Positional { required, optional };
  void positional(const std::string& name, std::string& value, const std::string& help,
                  Positional need = Positional::required);
  /// `--NAME FILE`: a YAML mapping of flags' names, without dashes, to values; a toggle has true or false, a repeatable flag
  /// a value or a list. Flags among the words win.
  void config(const std::string& name);
  /// These must be given.
  void require(const std::vector<std::string>& names);

  /// Reads the words after the subcommand; behind "--" none is a flag. UsageError for an unknown flag (with the nearest
  /// name), one given twice or without its value, a value of the wrong type or out of range, a required one that is
  /// missing; in a config file with the line and the column. False when --help was among them.
  bool parse(const std::vector<std::string>& words);
  /// Whether the flag was given, after parse(); a config file that repeats the default gives nothing.
  bool given(const std::string& name) const;
  /// Every flag that has a value, as it is now or as `resolved` has it, but for those of `without`: the config file that
  /// says the same.
  std::string yaml(const std::vector<std::string>& without, const std::map<std::string, std::string>& resolved) const;
  std::string help() const;
  /// The subcommand.
  const std::string& command() const { return command_; }

 private:
  struct Entry;
  Entry& add(const std::string& name, const std::string& word, const std::string& help,
             std::function<void(const std::string&)> set, std::function<std::vector<std::string>()> values);
  Entry* find(const std::string& name) const;
  bool cut(const std::vector<std::string>& words, std::vector<std::string>& extras) const;
  void check_words(const std::vector<std::string>& words) const;
  void read_config(const std::string& path);
  std::string config_word(const Entry& entry, const YamlScalar& scalar, const std::string& place) const;
  void set(const Entry& entry, std::size_t i);
  std::string known_hint(const std::string& word) const;
  std::string hint(const std::string& name, const std::string& dashes) const;

  template <class T, class Read>
  void number_flag(const std::string& name, const std::string& word, T& value, const std::string& help, Read read);

  std::string command_, summary_;
  std::string config_, config_file_;
  std::vector<std::unique_ptr<Entry>> entries_;
};

/// The nearest of `names` by edit distance, or "" when none is near.
std::string nearest(const std::string& name, const std::vector<std::string>& names);

}  // namespace loragrad
