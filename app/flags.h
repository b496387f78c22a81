#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace loragrad {

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
            std::function<bool(const std::string&)> is_one, const std::string& expected, const std::string& help);
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
  /// These must be given.
  void require(const std::vector<std::string>& names);

  /// Reads the words after the subcommand; behind "--" none is a flag. UsageError for an unknown flag (with the nearest
  /// name), one given twice or without its value, a value of the wrong type or out of range, a required one that is
  /// missing. False when --help was among them.
  bool parse(const std::vector<std::string>& words);
  /// Whether the flag was given, after parse().
  bool given(const std::string& name) const;
  std::string help() const;

 private:
  struct Entry;
  Entry& add(const std::string& name, const std::string& word, const std::string& help,
             std::function<void(const std::string&)> set);
  Entry* find(const std::string& name) const;
  bool cut(const std::vector<std::string>& words, std::vector<std::string>& extras) const;
  void check_words(const std::vector<std::string>& words) const;

  std::string command_, summary_;
  std::vector<std::unique_ptr<Entry>> entries_;
};

/// The nearest of `names` by edit distance, or "" when none is near.
std::string nearest(const std::string& name, const std::vector<std::string>& names);

}  // namespace loragrad
