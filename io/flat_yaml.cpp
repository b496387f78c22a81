#include "io/flat_yaml.h"

#include <fmt/format.h>
#include <yaml.h>

#include <cstdint>
#include <new>
#include <unordered_map>

#include "engine/error.h"
#include "io/json.h"
#include "io/message.h"
#include "io/utf8.h"

namespace loragrad {
namespace {

/// The events of one document, from libyaml.
class Events {
 public:
  Events(std::string_view text, const std::string& path) : path_(path) {
    if (!yaml_parser_initialize(&parser_)) throw std::bad_alloc();
    yaml_parser_set_input_string(&parser_, reinterpret_cast<const unsigned char*>(text.data()), text.size());
  }
  Events(const Events&) = delete;
  Events& operator=(const Events&) = delete;
  ~Events() {
    yaml_event_delete(&event_);
    yaml_parser_delete(&parser_);
  }

  /// The type of the next event; at() looks at it until the next call.
  yaml_event_type_t next() {
    yaml_event_delete(&event_);
    if (!yaml_parser_parse(&parser_, &event_)) refuse();
    return event_.type;
  }
  const yaml_event_t& at() const { return event_; }

  [[noreturn]] void fail(const std::string& what) const { fail(event_.start_mark, what); }

  YamlScalar scalar() const {
    const auto& it = event_.data.scalar;
    if (it.anchor || it.tag)
      fail(it.anchor ? "expected a plain value, found an anchor" : "expected a plain value, found a tag");
    return {std::string(reinterpret_cast<const char*>(it.value), it.length), it.style == YAML_PLAIN_SCALAR_STYLE,
            event_.start_mark.line + 1, event_.start_mark.column + 1};
  }

 private:
  [[noreturn]] void fail(const yaml_mark_t& mark, const std::string& what) const {
    throw UsageError(fmt::format("{}: {}", yaml_place(path_, {"", true, mark.line + 1, mark.column + 1}), what));
  }
  [[noreturn]] void refuse() const {
    if (parser_.error == YAML_MEMORY_ERROR) throw std::bad_alloc();
    std::string context = parser_.context ? fmt::format(" ({})", parser_.context) : "";
    std::string problem = parser_.problem ? parser_.problem : "found something else";
    // The reader, below lines and columns, knows the byte.
    if (parser_.error == YAML_READER_ERROR)
      throw UsageError(
          fmt::format("{}: byte {}: expected YAML in UTF-8: {}", path_text(path_), parser_.problem_offset, problem));
    fail(parser_.problem_mark, fmt::format("expected YAML: {}{}", problem, context));
  }

  const std::string& path_;
  yaml_parser_t parser_{};
  yaml_event_t event_{};
};

std::string kind_of(yaml_event_type_t type) {
  switch (type) {
    case YAML_MAPPING_START_EVENT:
      return "a mapping";
    case YAML_SEQUENCE_START_EVENT:
      return "a list";
    case YAML_ALIAS_EVENT:
      return "an alias";
    default:
      return "something else";
  }
}

void refuse_marks(const Events& events, const yaml_char_t* anchor, const yaml_char_t* tag) {
  if (anchor || tag) events.fail(fmt::format("expected a plain value, found {}", anchor ? "an anchor" : "a tag"));
}

void read_value(Events& events, YamlEntry& entry) {
  yaml_event_type_t type = events.next();
  if (type == YAML_SCALAR_EVENT) return entry.values.push_back(events.scalar());
  if (type != YAML_SEQUENCE_START_EVENT)
    events.fail(fmt::format("{}: expected a value, found {}", escaped(entry.key.text), kind_of(type)));
  refuse_marks(events, events.at().data.sequence_start.anchor, events.at().data.sequence_start.tag);
  entry.is_list = true;
  while ((type = events.next()) != YAML_SEQUENCE_END_EVENT) {
    if (type != YAML_SCALAR_EVENT)
      events.fail(fmt::format("{}: expected a value in the list, found {}", escaped(entry.key.text), kind_of(type)));
    entry.values.push_back(events.scalar());
  }
}

/// Up to the end of the mapping whose start was the last event.
std::vector<YamlEntry> read_mapping(Events& events) {
  std::vector<YamlEntry> entries;
  std::unordered_map<std::string, std::size_t> lines;
  for (yaml_event_type_t type; (type = events.next()) != YAML_MAPPING_END_EVENT;) {
    if (type != YAML_SCALAR_EVENT) events.fail(fmt::format("expected a key, found {}", kind_of(type)));
    YamlEntry entry{events.scalar(), {}, false};
    auto [first, is_new] = lines.emplace(entry.key.text, entry.key.line);
    if (!is_new)
      events.fail(
          fmt::format("{}: expected once, found again (first in line {})", escaped(entry.key.text), first->second));
    read_value(events, entry);
    entries.push_back(std::move(entry));
  }
  return entries;
}

/// What YAML reads within quotes as it stands: no control character, line break or mark of byte order.
bool is_printable(std::uint32_t c) {
  if (c < 0x20 || (c >= 0x7f && c < 0xa0) || c == 0x2028 || c == 0x2029 || c == 0xfeff) return false;
  return (c & 0xfffe) != 0xfffe;
}

}  // namespace

std::string yaml_place(const std::string& path, const YamlScalar& scalar) {
  return fmt::format("{}: line {}, column {}", path_text(path), scalar.line, scalar.column);
}

std::vector<YamlEntry> parse_yaml(std::string_view text, const std::string& path) {
  Events events(text, path);
  events.next();  // the stream's start
  std::vector<YamlEntry> entries;
  if (events.next() == YAML_STREAM_END_EVENT) return entries;
  yaml_event_type_t type = events.next();
  if (type == YAML_MAPPING_START_EVENT) {
    refuse_marks(events, events.at().data.mapping_start.anchor, events.at().data.mapping_start.tag);
    entries = read_mapping(events);
  } else if (type != YAML_SCALAR_EVENT || !events.scalar().plain || !events.scalar().text.empty()) {
    events.fail(
        fmt::format("expected keys and values, found {}", type == YAML_SCALAR_EVENT ? "a value alone" : kind_of(type)));
  }
  events.next();  // the document's end
  if (events.next() != YAML_STREAM_END_EVENT) events.fail("expected one document, found another");
  return entries;
}

std::string yaml_text(std::string_view text) {
  std::string out = "\"";
  for (std::size_t at = 0; at < text.size();) {
    CodePoint point = code_point_at(text, at);
    auto value = static_cast<std::uint32_t>(point.value);
    if (value == '"' || value == '\\')
      out += {'\\', text[at]};
    else if (is_printable(value))
      out += text.substr(at, point.size);
    else
      out += value < 0x10000 ? fmt::format("\\u{:04x}", value) : fmt::format("\\U{:08x}", value);
    at += point.size;
  }
  return out + "\"";
}

}  // namespace loragrad
