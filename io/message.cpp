#include "io/message.h"

#include <fmt/format.h>

#include <algorithm>

#include "io/json.h"
#include "io/utf8.h"

namespace loragrad {
namespace {

constexpr std::size_t longest_path = 4096;  // that the system opens
constexpr std::size_t most_items = 10, longest_part = 100, longest_item = 160;
constexpr std::string_view dots = "...";

/// Shortens what stands between two `border`s: every part of the text, or every second one, as between quotes.
std::string parts_shortened(std::string_view text, char border, bool every_second) {
  std::string result;
  std::size_t part = 0;
  for (std::size_t begin = 0; begin <= text.size(); ++part) {
    std::size_t end = std::min(text.find(border, begin), text.size());
    bool shorten = !every_second || part % 2 == 1;
    std::string_view content = text.substr(begin, end - begin);
    result +=
        (part > 0 ? std::string(1, border) : "") + (shorten ? shortened(content, longest_part) : std::string(content));
    begin = end + 1;
  }
  return result;
}

}  // namespace

std::string shortened(std::string_view text, std::size_t limit) {
  if (text.size() <= limit) return std::string(text);
  std::size_t kept = limit - std::min(limit, dots.size()), head = kept - kept / 2, tail = text.size() - kept / 2;
  while (head > 0 && continues_character(text[head])) --head;
  while (tail < text.size() && continues_character(text[tail])) ++tail;
  return std::string(text.substr(0, head)) + std::string(dots) + std::string(text.substr(tail));
}

std::string path_text(const std::string& path) { return escaped(path, longest_path); }

std::string list_text(const std::vector<std::string>& items, std::size_t room, std::string_view between) {
  std::string text;
  std::size_t shown = 0;
  for (; shown < std::min(items.size(), most_items); ++shown) {
    std::string item = escaped(items[shown], std::string::npos);
    if (shown > 0 && text.size() + between.size() + item.size() > room) break;
    text += shown == 0 ? shortened(item, longest_item) : std::string(between) + item;
  }
  return shown == items.size()
             ? text
             : fmt::format("{} and {} more", text, grouped(static_cast<std::int64_t>(items.size() - shown)));
}

std::string grouped(std::int64_t n) {
  std::string text = std::to_string(n);
  for (auto at = static_cast<std::int64_t>(text.size()) - 3; at > (n < 0 ? 1 : 0); at -= 3)
    text.insert(static_cast<std::size_t>(at), ",");
  return text;
}

std::string line_text(std::string_view message) {
  std::string text = escaped(message, std::string::npos);
  if (text.size() > longest_line) text = parts_shortened(text, ' ', false);
  if (text.size() > longest_line) text = parts_shortened(text, '"', true);
  return shortened(text, longest_line);
}

}  // namespace loragrad
