#include <fmt/format.h>

#include <cmath>
#include <limits>

#include "engine/error.h"
#include "io/json.h"
#include "io/json_text.h"
#include "io/message.h"

namespace loragrad {
namespace {

// "in [1, 8]", "of at least 1", "of at most 8" or nothing, where a bound that excludes nothing is not named.
template <class T>
std::string range_text(T min, T max, T lowest, T highest) {
  if (min > lowest && max < highest) return fmt::format(" in [{}, {}]", min, max);
  if (min > lowest) return fmt::format(" of at least {}", min);
  if (max < highest) return fmt::format(" of at most {}", max);
  return "";
}

}  // namespace

bool JsonRef::is_null() const { return std::holds_alternative<std::nullptr_t>(value_->value()); }
bool JsonRef::is_string() const { return std::holds_alternative<std::string>(value_->value()); }
bool JsonRef::is_array() const { return std::holds_alternative<Json::Array>(value_->value()); }
bool JsonRef::is_object() const { return std::holds_alternative<Json::Object>(value_->value()); }
bool JsonRef::is_boolean() const { return std::holds_alternative<bool>(value_->value()); }
bool JsonRef::is_number() const {
  const Json::Variant& value = value_->value();
  return std::holds_alternative<std::int64_t>(value) || std::holds_alternative<double>(value) ||
         std::holds_alternative<Json::Numeral>(value);
}

JsonRef JsonRef::member(std::string_view key, const Json& value) const {
  JsonRef ref(value, where_);
  ref.path_ = path_.empty() ? std::string(key) : path_ + "." + std::string(key);
  return ref;
}

JsonRef JsonRef::at(std::string_view key) const {
  if (!is_object()) fail("an object");
  if (const Json* value = value_->find(key)) return member(key, *value);
  throw InputError(member(key, *value_).place() + "expected this key, found none");
}

std::optional<JsonRef> JsonRef::find(std::string_view key) const {
  if (!is_object()) fail("an object");
  const Json* value = value_->find(key);
  if (!value || std::holds_alternative<std::nullptr_t>(value->value())) return std::nullopt;
  return member(key, *value);
}

JsonRef JsonRef::operator[](std::size_t index) const {
  const auto* array = std::get_if<Json::Array>(&value_->value());
  if (!array) fail("a list");
  if (index >= array->size()) fail(fmt::format("a list of at least {} items", index + 1));
  JsonRef ref((*array)[index], where_);
  ref.path_ = fmt::format("{}[{}]", path_, index);
  return ref;
}

std::size_t JsonRef::size() const {
  if (const auto* array = std::get_if<Json::Array>(&value_->value())) return array->size();
  if (const auto* object = std::get_if<Json::Object>(&value_->value())) return object->size();
  fail("a list or an object");
}

std::vector<std::pair<std::string, JsonRef>> JsonRef::members() const {
  const auto* object = std::get_if<Json::Object>(&value_->value());
  if (!object) fail("an object");
  std::vector<std::pair<std::string, JsonRef>> result;
  result.reserve(object->size());
  for (const auto& [key, value] : *object) result.emplace_back(key, member(key, value));
  return result;
}

std::vector<JsonRef> JsonRef::elements() const {
  if (!is_array()) fail("a list");
  std::vector<JsonRef> result;
  result.reserve(size());
  for (std::size_t i = 0; i < size(); ++i) result.push_back((*this)[i]);
  return result;
}

std::vector<JsonRef> JsonRef::one_or_more() const {
  if (is_array()) return elements();
  return {*this};
}

bool JsonRef::boolean() const {
  if (const bool* value = std::get_if<bool>(&value_->value())) return *value;
  fail("true or false");
}

std::int64_t JsonRef::integer(std::int64_t min, std::int64_t max) const {
  const auto* value = std::get_if<std::int64_t>(&value_->value());
  if (value && *value >= min && *value <= max) return *value;
  using Limits = std::numeric_limits<std::int64_t>;
  fail("an integer" + range_text(min, max, Limits::min(), Limits::max()));
}

double JsonRef::number(double min, double max) const {
  double value = std::numeric_limits<double>::quiet_NaN();
  if (const auto* fraction = std::get_if<double>(&value_->value())) value = *fraction;
  if (const auto* integer = std::get_if<std::int64_t>(&value_->value())) value = static_cast<double>(*integer);
  if (std::isfinite(value) && value >= min && value <= max) return value;
  using Limits = std::numeric_limits<double>;
  fail("a finite number" + range_text(min, max, Limits::lowest(), Limits::max()));
}

const std::string& JsonRef::string() const {
  if (const auto* value = std::get_if<std::string>(&value_->value())) return *value;
  fail("a string");
}

std::vector<std::string> JsonRef::strings() const {
  if (!is_array()) fail("a list of strings");
  std::vector<std::string> result;
  for (const JsonRef& element : elements()) result.push_back(element.string());
  return result;
}

std::string JsonRef::place() const {
  std::string text = path_text(where_) + ": ";
  return path_.empty() ? text : text + escaped(path_, 400) + ": ";
}

void JsonRef::fail(std::string_view expected) const {
  std::string found;
  append_json(found, *value_, {.ascii = false, .not_finite = NotFinite::word});
  throw InputError(place() + "expected " + std::string(expected) + ", found " + escaped(found));
}

}  // namespace loragrad
