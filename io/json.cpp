#include "io/json.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "engine/error.h"
#include "io/file_content.h"
#include "io/json_numerals.h"
#include "io/mapped_file.h"
#include "io/message.h"

namespace loragrad {
namespace {

constexpr std::size_t max_depth = 64;

/// nlohmann's events, built into a Json. It is used for its lexer alone: its own values would keep the last of two
/// equal keys and convert numbers silently.
class Builder final : public nlohmann::json_sax<nlohmann::json> {
 public:
  /// `odd` are the numbers of which the lexer sees a stand-in.
  Builder(const std::string& where, std::vector<OddNumeral> odd) : where_(where), odd_(std::move(odd)) {}
  Json take() { return std::move(root_); }

  bool null() override { return add(Json()); }
  bool boolean(bool value) override { return add(value); }
  // Here come negative numbers only, and -0, which keeps its sign as a double and is no integer.
  bool number_integer(number_integer_t value) override { return number(value == 0 ? Json(-0.0) : Json(value)); }
  bool number_unsigned(number_unsigned_t value) override {
    bool fits = std::in_range<std::int64_t>(value);
    return number(fits ? Json(value) : Json(Json::Numeral{std::to_string(value)}));
  }
  bool number_float(number_float_t value, const string_t& text) override {
    // The lexer hands over as a fraction every integer that fits no 64 bits.
    bool fraction = text.find_first_of(".eE") != std::string::npos;
    return number(fraction ? Json(value) : Json(Json::Numeral{text}));
  }
  bool string(string_t& value) override { return add(std::move(value)); }
  bool binary(binary_t&) override { return false; }  // no event of JSON text
  bool start_object(std::size_t) override { return open(Json::Object()); }
  bool start_array(std::size_t) override { return open(Json::Array()); }
  bool key(string_t& name) override {
    std::get<Json::Object>(open_.back()->value()).emplace_back(std::move(name), Json());
    return true;
  }
  bool end_object() override {
    check_keys(std::get<Json::Object>(open_.back()->value()));
    open_.pop_back();
    return true;
  }
  bool end_array() override {
    open_.pop_back();
    return true;
  }
  bool parse_error(std::size_t position, const std::string& token, const nlohmann::json::exception& error) override {
    // what() reads "[id] [parse error at line, column: ]WHAT - FOUND[; last read: ...][; expected EXPECTED]".
    std::string_view text = error.what();
    std::string_view expected = "JSON", found = text.substr(std::min(text.size(), text.find("] ") + 2));
    if (auto at = found.rfind("; expected "); at != std::string_view::npos) {
      expected = found.substr(at + 11);
      found = found.substr(0, at);
    }
    found = found.substr(0, found.find("; last read"));
    if (auto at = found.find(" - "); at != std::string_view::npos) found = found.substr(at + 3);
    std::string message = where_ + ": byte " + std::to_string(position) + ": expected " + std::string(expected) +
                          ", found " + std::string(found);
    if (!token.empty())
      message += " at \"" + escaped(token.size() > 40 ? token.substr(token.size() - 40) : token) + "\"";
    throw InputError(message);
  }

 private:
  bool number(Json value) {
    if (next_odd_ < odd_.size() && odd_[next_odd_].ordinal == numbers_)
      value = Json::Numeral{std::string(odd_[next_odd_++].text)};
    ++numbers_;
    return add(std::move(value));
  }
  bool add(Json value) {
    place(std::move(value));
    return true;
  }
  bool open(Json value) {
    if (open_.size() == max_depth)
      throw InputError(where_ + ": " + place_text() + "expected at most " + std::to_string(max_depth) +
                       " nested lists and objects, found more");
    open_.push_back(&place(std::move(value)));
    return true;
  }
  // The pointers in open_ stay good: only the innermost list or object grows.
  Json& place(Json value) {
    if (open_.empty()) return root_ = std::move(value);
    auto& parent = open_.back()->value();
    if (auto* array = std::get_if<Json::Array>(&parent)) return array->emplace_back(std::move(value));
    return std::get<Json::Object>(parent).back().second = std::move(value);
  }
  /// "a.b[2]: ", the place of the value that comes next; empty at the top.
  std::string place_text() const {
    std::string path;
    for (const Json* json : open_) {
      if (const auto* array = std::get_if<Json::Array>(&json->value())) {
        bool innermost = json == open_.back();
        path += "[" + std::to_string(array->size() - (innermost ? 0 : 1)) + "]";
      } else {
        path += (path.empty() ? "" : ".") + std::get<Json::Object>(json->value()).back().first;
      }
    }
    return path.empty() ? path : escaped(path, 400) + ": ";
  }
  void check_keys(Json::Object& object) const {
    std::vector<std::string_view> keys;
    keys.reserve(object.size());
    for (const auto& member : object) keys.push_back(member.first);
    std::sort(keys.begin(), keys.end());
    auto twice = std::adjacent_find(keys.begin(), keys.end());
    if (twice == keys.end()) return;
    // The message names the key as the last one read.
    std::string name(*twice);
    object.emplace_back(name, Json());
    throw InputError(where_ + ": " + place_text() + "expected every key once, found this one twice");
  }

  std::string where_;
  std::vector<OddNumeral> odd_;
  std::size_t next_odd_ = 0, numbers_ = 0;  // numbers_: how many were there so far
  Json root_;
  std::vector<Json*> open_;
};

}  // namespace

const Json* Json::find(std::string_view key) const {
  if (const auto* object = std::get_if<Object>(&value_))
    for (const auto& [name, value] : *object)
      if (name == key) return &value;
  return nullptr;
}

void Json::set(std::string_view key, Json value) {
  auto* object = std::get_if<Object>(&value_);
  if (!object) throw UsageError("Json::set: expected an object, found " + escaped(dump()));
  for (auto& [name, old] : *object)
    if (name == key) {
      old = std::move(value);
      return;
    }
  object->emplace_back(std::string(key), std::move(value));
}

std::int64_t Json::too_large() { throw UsageError("Json: expected an integer up to 2^63-1, found a larger one"); }

Json parse_json(std::string_view text, const std::string& where, JsonNumbers numbers) {
  std::string place = path_text(where);
  // The lexer takes a NUL for the end of the text.
  if (auto at = text.find('\0'); at != std::string_view::npos)
    throw InputError(place + ": byte " + std::to_string(at + 1) + ": expected JSON, found a NUL byte");
  if (text.find_first_not_of(" \t\r\n") == std::string_view::npos)
    throw InputError(place + ": byte " + std::to_string(text.size() + 1) + ": expected JSON, found the end");
  std::vector<OddNumeral> odd;
  if (numbers == JsonNumbers::python) odd = odd_numerals(text);
  // The lexer knows none of them, so it is given a zero of the same length in their place.
  std::string patched;
  if (!odd.empty()) patched = text;
  for (const OddNumeral& numeral : odd) {
    auto at = static_cast<std::size_t>(numeral.text.data() - text.data());
    patched.replace(at, numeral.text.size(), "0" + std::string(numeral.text.size() - 1, ' '));
  }
  std::string_view lexed = odd.empty() ? text : patched;
  Builder builder(place, std::move(odd));
  nlohmann::json::sax_parse(lexed.begin(), lexed.end(), &builder);
  return builder.take();
}

Json read_json_file(const std::string& path) {
  std::string text = read_file(path);
  refuse_other_content(path, text, Content::json);
  return parse_json(text, path);
}

}  // namespace loragrad
