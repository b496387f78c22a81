#pragma once
// Threads: values and functions of their arguments alone; any thread may use them.
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace loragrad {

/// A scalar as it stands in the file. Plain ones (not quoted, no block) may be numbers, true, false or null; whoever
/// reads them says.
struct YamlScalar {
  std::string text;
  bool plain = false;
  std::size_t line = 0, column = 0;  ///< from 1
};

/// `key: value` or `key: [value, ...]`.
struct YamlEntry {
  YamlScalar key;
  std::vector<YamlScalar> values;
  bool is_list = false;
};

/// One flat mapping: what a file of flags is (in UTF-8, or with a byte-order mark in UTF-16).
/// UsageError `PATH: line L, column C: ...` for what is no YAML, another document behind the first, a key twice, a
/// mapping or a list within a value, anchors, aliases and tags. An empty document has no entries.
std::vector<YamlEntry> parse_yaml(std::string_view text, const std::string& path);

/// A text (valid UTF-8) as a YAML scalar on one line that reads back as this text, never as a number, a truth value or
/// null.
std::string yaml_text(std::string_view text);

/// Where a scalar stands: `PATH: line L, column C`.
std::string yaml_place(const std::string& path, const YamlScalar& scalar);

}  // namespace loragrad
