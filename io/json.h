#pragma once
#include <concepts>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace loragrad {

/// A JSON value. Objects keep the order of the file; integers and fractions are told apart ("8" is an integer, "8.0" a
/// number).
class Json {
 public:
  using Array = std::vector<Json>;
  using Object = std::vector<std::pair<std::string, Json>>;
  /// A number that neither 64 bits with a sign nor a double hold (2^63, 1e999), or NaN, Infinity, -Infinity as Python
  /// writes them: as it is spelled. It may stand where nobody looks; whoever asks for its value is refused.
  struct Numeral {
    std::string text;
  };
  using Variant = std::variant<std::nullptr_t, bool, std::int64_t, double, Numeral, std::string, Array, Object>;

  Json() : value_(nullptr) {}
  Json(std::nullptr_t) : value_(nullptr) {}
  /// Exactly bool, so that no pointer turns into one.
  template <std::same_as<bool> T>
  Json(T value) : value_(value) {}
  /// Any integer type; UsageError above 2^63-1.
  template <std::integral T>
  requires(!std::same_as<T, bool>) Json(T value)
      : value_(std::in_range<std::int64_t>(value) ? static_cast<std::int64_t>(value) : too_large()) {}
  Json(double value) : value_(value) {}
  Json(Numeral value) : value_(std::move(value)) {}
  Json(std::string value) : value_(std::move(value)) {}
  Json(std::string_view value) : value_(std::string(value)) {}
  Json(const char* value) : value_(std::string(value)) {}
  Json(Array value) : value_(std::move(value)) {}
  Json(Object value) : value_(std::move(value)) {}

  const Variant& value() const { return value_; }
  Variant& value() { return value_; }
  /// The member's value, or null when this is no object or has no such member.
  const Json* find(std::string_view key) const;
  /// Replaces or appends a member; UsageError when this is no object.
  void set(std::string_view key, Json value);

  /// The text Python's json.dumps writes: one line with ", " and ": " where indent < 0, else json.dumps(indent=indent);
  /// sort_keys as Python's; all of it ASCII. A double prints as the shortest text that reads back equal, always with a
  /// '.' or an 'e'; NumericError for inf and nan, which JSON cannot say. A Numeral prints as it was read. Bytes that
  /// are no UTF-8 become U+FFFD.
  std::string dump(int indent = -1, bool sort_keys = false) const;

 private:
  [[noreturn]] static std::int64_t too_large();
  Variant value_;
};

/// What numbers may be in a text.
enum class JsonNumbers {
  python,  ///< what Python's json reads: NaN, Infinity and -Infinity too, and numbers of any size; see Json::Numeral
  strict   ///< RFC 8259's; those of any size too
};

/// Strict reading: UTF-8 (a byte order mark is accepted), RFC 8259 but for `numbers`, depth <= 64, no duplicate keys,
/// no trailing text. Throws InputError("WHERE: byte N: expected X, found Y", bytes counted from 1) for text that is no
/// JSON, and InputError("WHERE: a.b[2]: expected X, found Y") for what only we refuse; `where` is a file name, or
/// file:line.
Json parse_json(std::string_view text, const std::string& where, JsonNumbers numbers = JsonNumbers::python);
/// Reads and parses a file. IoError when it cannot be read, InputError as above.
Json read_json_file(const std::string& path);

/// A value together with its place (file and key path), so that a wrong value is reported as
/// "FILE: a.b[2]: expected an integer in [1, 65536], found "8"". All checks throw InputError.
class JsonRef {
 public:
  JsonRef(const Json& value, std::string where) : value_(&value), where_(std::move(where)) {}

  const Json& json() const { return *value_; }
  const std::string& where() const { return where_; }
  std::string path() const { return path_; }
  bool is_null() const;
  bool is_string() const;
  bool is_array() const;
  bool is_object() const;
  bool is_boolean() const;
  bool is_number() const;  // integer or fraction, a Numeral too

  JsonRef at(std::string_view key) const;                   ///< member that must be there
  std::optional<JsonRef> find(std::string_view key) const;  ///< absent or null: nullopt
  JsonRef operator[](std::size_t index) const;
  std::size_t size() const;                                      ///< of an array or object
  std::vector<std::pair<std::string, JsonRef>> members() const;  ///< of an object, in file order
  std::vector<JsonRef> elements() const;                         ///< of an array
  std::vector<JsonRef> one_or_more() const;                      ///< of an array; anything else is the one

  bool boolean() const;
  std::int64_t integer(std::int64_t min, std::int64_t max) const;  ///< 8 yes; 8.0, 8.5, "8", true no
  double number(double min, double max) const;                     ///< finite; integers too
  const std::string& string() const;
  std::vector<std::string> strings() const;

  /// Throws InputError: "WHERE: PATH: expected EXPECTED, found <this value, cut short, control characters escaped>".
  [[noreturn]] void fail(std::string_view expected) const;

 private:
  JsonRef member(std::string_view key, const Json& value) const;
  std::string place() const;  // "WHERE: PATH: "

  const Json* value_;
  std::string where_;
  std::string path_;
};

/// Appends `text` in quotes, escaped as JSON demands; where `ascii`, everything else outside ASCII is escaped too.
void append_json_string(std::string& out, std::string_view text, bool ascii);

/// For messages: control characters as \n, \t, \u001b, bytes that are no UTF-8 as \xff; cut to `limit` bytes with "..."
/// at a character boundary.
std::string escaped(std::string_view text, std::size_t limit = 80);

}  // namespace loragrad
