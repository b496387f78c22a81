#pragma once
// What a template computes with: Python's values, as far as templates meet them.
#include <concepts>
#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "io/json.h"

namespace loragrad::jinja {

/// What went wrong in a template: "expected X, found Y". Where, its caller adds.
struct Fault : std::runtime_error {
  explicit Fault(const std::string& message, int at = 0) : std::runtime_error(message), line(at) {}
  int line;  ///< of the template, from 1; 0: not yet known
};

class Value;
class Object;
using List = std::vector<Value>;
using Dict = std::vector<std::pair<Value, Value>>;  ///< in order; keys differ

/// A name or member that is not there. It prints as nothing, and most uses of it are a Fault that says what it is.
struct Undefined {
  std::shared_ptr<const std::string> what = {};  ///< "message.name"; null: nothing is known
};
struct Text {
  std::shared_ptr<const std::string> bytes;  ///< UTF-8
  bool markup = false;                       ///< came from |safe or |escape: what is added to it is escaped
};
/// Lists, and what else holds values in order.
struct Sequence {
  enum class Kind { list, tuple, range, keys, values, items } kind = Kind::list;
  List items;
  std::string shown = {};  ///< how a range prints
};
/// What map, select and their like give: it can be gone through once.
struct Generator {
  List items;
  std::size_t next = 0;
};

/// Lists and dicts are shared and never change; generators and objects are shared and may. Values within values are
/// counted, so that what goes through them all needs no more stack than there is: Fault above 200.
class Value {
 public:
  using Variant =
      std::variant<Undefined, std::nullptr_t, bool, std::int64_t, double, Text, std::shared_ptr<const Sequence>,
                   std::shared_ptr<const Dict>, std::shared_ptr<Generator>, std::shared_ptr<Object>>;

  Value() : value_(Undefined{}) {}
  Value(std::nullptr_t) : value_(nullptr) {}
  template <std::same_as<bool> T>
  Value(T value) : value_(value) {}
  template <std::integral T>
  requires(!std::same_as<T, bool>) Value(T value) : value_(static_cast<std::int64_t>(value)) {}
  Value(double value) : value_(value) {}
  Value(std::string text, bool markup = false)
      : value_(Text{std::make_shared<const std::string>(std::move(text)), markup}) {}
  Value(std::string_view text) : Value(std::string(text)) {}
  Value(const char* text) : Value(std::string(text)) {}
  Value(List items, Sequence::Kind kind = Sequence::Kind::list) : Value(Sequence{kind, std::move(items)}) {}
  Value(Sequence sequence);
  Value(Dict dict);
  /// `height` is that of what the object holds on to (height_above).
  template <std::derived_from<Object> T>
  Value(std::shared_ptr<T> object, int height = 0)
      : value_(std::shared_ptr<Object>(std::move(object))), height_(height) {}

  /// Of a parsed file. Fault for numbers that 64 bits do not hold.
  static Value of(const Json& json);
  static Value undefined(std::string what);
  static Value generator(List items);
  /// Bytes of `text`, with its `markup`.
  static Value like(const Text& text, std::string bytes) { return Value(std::move(bytes), text.markup); }

  /// Values within each other that something has which holds these.
  static int height_above(const List& held);

  const Variant& get() const { return value_; }
  bool is_undefined() const { return std::holds_alternative<Undefined>(value_); }
  bool is_none() const { return std::holds_alternative<std::nullptr_t>(value_); }
  bool is_number() const { return is_integer() || std::holds_alternative<double>(value_); }  ///< bool too, as Python's
  bool is_integer() const { return std::holds_alternative<std::int64_t>(value_) || as<bool>(); }
  const Text* text() const { return as<Text>(); }
  const std::string* string() const { return text() ? text()->bytes.get() : nullptr; }
  const Sequence* sequence() const { return pointee<const Sequence>(); }
  const Dict* dict() const { return pointee<const Dict>(); }
  Generator* generator() const { return pointee<Generator>(); }
  Object* object() const { return pointee<Object>(); }
  template <class T>
  const T* as() const {
    return std::get_if<T>(&value_);
  }

 private:
  template <class T>
  T* pointee() const {
    const auto* held = std::get_if<std::shared_ptr<T>>(&value_);
    return held ? held->get() : nullptr;
  }
  Variant value_;
  int height_ = 0;
};

/// Python's bool(value).
bool truth(const Value& value);
/// Python's ==.
bool equal(const Value& a, const Value& b);
/// Below 0, 0 or above it where a < b, a == b, a > b; Fault for values without an order.
int compare(const Value& a, const Value& b);
/// An integer or a bool; Fault that says what was expected.
std::int64_t integer_of(const Value& value);
/// A number; Fault for anything else.
double number_of(const Value& value);
/// A string; Fault for anything else.
const std::string& string_of(const Value& value);
/// What a for loop goes through: items, a dict's keys, a string's characters, what is left of a generator, nothing of
/// what is undefined. Fault for anything else.
List items_of(const Value& value);
/// Python's len(); Fault where there is none.
std::int64_t size_of(const Value& value);
/// Of a dict; null where there is none.
const Value* find(const Dict& dict, const Value& key);
const Value* find(const Dict& dict, std::string_view key);
/// Appends, or replaces in place. Fault for a key that Python could not hash.
void set(Dict& dict, const Value& key, Value value);

/// Python's str() and repr().
std::string text_of(const Value& value);
std::string repr(const Value& value);
/// "a list", "undefined (message.name)": for messages.
std::string kind_of(const Value& value);
[[noreturn]] void expected(std::string_view what, const Value& found);

}  // namespace loragrad::jinja
