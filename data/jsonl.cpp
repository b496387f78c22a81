#include "data/jsonl.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

#include "data/unicode.h"
#include "engine/error.h"
#include "io/file_content.h"
#include "io/mapped_file.h"
#include "io/message.h"

namespace loragrad {
namespace {

constexpr std::string_view white_space = " \t\r\n";

bool is_blank(std::string_view text) { return text.find_first_not_of(white_space) == std::string_view::npos; }

/// Where an object that begins with a line stands at the line's end.
struct Scan {
  bool in_string = false, closed = false;
  std::size_t end = 0;  // behind its last brace, when closed
};

Scan scan_object(std::string_view line) {
  Scan scan;
  int depth = 0;
  for (std::size_t i = 0; i < line.size(); ++i) {
    char c = line[i];
    if (scan.in_string) {
      if (c == '\\')
        ++i;
      else
        scan.in_string = c != '"';
      continue;
    }
    scan.in_string = c == '"';
    depth += (c == '{' || c == '[') - (c == '}' || c == ']');
    if (depth == 0 && (c == '}' || c == ']')) return {false, true, i + 1};
  }
  return scan;
}

std::string command(const char* filter, const std::string& name) {
  return fmt::format("jq -c {} '{}' > lines.jsonl", filter, shortened(escaped(name), 60));
}

/// What is wrong with a line that is no JSON by itself, and `rest`, which is all behind it; "" when nothing is known.
std::string broken_line(std::string_view line, std::string_view rest, const std::string& name) {
  line.remove_prefix(std::min(line.find_first_not_of(white_space), line.size()));
  while (!line.empty() && white_space.find(line.back()) != std::string_view::npos) line.remove_suffix(1);
  std::string expected = "expected a JSON object a line, found ";
  if (line.starts_with("[")) return expected + "a JSON array over several lines: " + command("'.[]'", name);
  if (!line.starts_with("{")) return "";
  std::string_view inside = line.substr(1);
  inside.remove_prefix(std::min(inside.find_first_not_of(white_space), inside.size()));
  if (inside.starts_with("'"))
    return expected + "a Python dict in single quotes: write rows with json.dumps, not with str or print";
  Scan scan = scan_object(line);
  if (scan.closed) {
    bool another = scan.end < line.size() && line.find('{', scan.end) == line.find_first_not_of(" \t,", scan.end);
    return another ? expected + "several objects: " + command(".", name) : "";
  }
  if (is_blank(rest)) return expected + "one that is cut off: was the file cut short?";
  if (scan.in_string)
    return expected + "a string that goes on in the next line: a line break within a string is written \\\\n";
  return expected + "an object over several lines: " + command(".", name);
}

bool is_list_of_objects(const JsonRef& row) { return row.is_array() && row.size() > 0 && row[0].is_object(); }

}  // namespace

std::string read_data_text(const std::string& path) {
  std::string text = read_file(path);
  bool json = std::filesystem::path(path).extension() == ".jsonl";
  // Of an empty file it is said that it has no row.
  if (!text.empty()) refuse_other_content(path, text, json ? Content::json : Content::text);
  if (text.starts_with("\xef\xbb\xbf")) text.erase(0, 3);
  std::size_t at = invalid_utf8(text);
  if (at == std::string::npos) return text;
  auto line = 1 + std::count(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(at), '\n');
  throw InputError(
      fmt::format("{}:{}: expected UTF-8, found byte 0x{:02x}", path, line, static_cast<unsigned char>(text[at])));
}

void for_each_line(std::string_view text, const std::string& path,
                   const std::function<void(const JsonRef& row, std::string_view line)>& take) {
  std::string name = std::filesystem::path(path).filename().string();
  std::size_t number = 0;
  for (std::size_t begin = 0; begin < text.size();) {
    std::size_t end = std::min(text.find('\n', begin), text.size());
    std::string_view line = text.substr(begin, end - begin), rest = text.substr(end);
    begin = end + 1;
    ++number;
    if (is_blank(line)) continue;
    std::string where = fmt::format("{}:{}", path, number);
    Json json;
    try {
      json = parse_json(line, where);
    } catch (const InputError&) {
      std::string wrong = broken_line(line, rest, name);
      if (wrong.empty()) throw;
      throw InputError(where + ": " + wrong);
    }
    JsonRef row(json, where);
    if (is_list_of_objects(row))
      throw InputError(where +
                       ": expected a JSON object a line, found a JSON array of them: " + command("'.[]'", name));
    take(row, line);
  }
}

std::string json_lines_remedy(std::string_view text, const std::string& name) {
  std::size_t first = text.find_first_not_of(white_space);
  if (first == std::string_view::npos) return "";
  if (text[first] == '[') return command("'.[]'", name) + " writes an array's items as lines";
  std::string_view line = text.substr(first, std::min(text.find('\n', first), text.size()) - first);
  if (text[first] != '{') return "";
  return scan_object(line).closed ? "if it has a JSON object a line, name it .jsonl"
                                  : command(".", name) + " writes an object a line";
}

}  // namespace loragrad
