#include "data/tokenizer/traced_text.h"

#include <algorithm>

#include "io/utf8.h"

namespace loragrad {

TracedText TracedText::of(std::string_view original, std::size_t begin, std::size_t end, bool traced) {
  TracedText text{std::string(original.substr(begin, end - begin))};
  if (!traced) return text;
  text.origins.emplace().reserve(end - begin);
  for (std::size_t at = begin; at < end;) {
    std::size_t size = code_point_at(original, at).size;
    text.origins->insert(text.origins->end(), size, at);
    at += size;
  }
  return text;
}

TracedText TracedText::blank() const {
  TracedText text;
  text.bytes.reserve(bytes.size());
  if (origins) text.origins.emplace().reserve(bytes.size());
  return text;
}

void TracedText::append(const TracedText& other, std::size_t begin, std::size_t end) {
  bytes.append(other.bytes, begin, end - begin);
  if (!origins) return;
  auto first = other.origins->begin();
  origins->insert(origins->end(), first + static_cast<std::ptrdiff_t>(begin), first + static_cast<std::ptrdiff_t>(end));
}

void TracedText::append(std::string_view content, std::size_t origin) {
  bytes += content;
  if (origins) origins->insert(origins->end(), content.size(), origin);
}

void TracedText::append_replaced(const TracedText& other, std::size_t begin, std::size_t end,
                                 const std::vector<Span>& matches, std::string_view content) {
  std::size_t at = begin;
  for (const Span& match : matches) {
    append(other, at, begin + match.begin);
    append(content, other.origin_before(begin + match.begin));
    at = begin + match.end;
  }
  append(other, at, end);
}

std::size_t TracedText::origin_before(std::size_t at) const {
  if (!origins || origins->empty()) return no_origin;
  return (*origins)[std::min(at, origins->size() - 1)];
}

TextSpan TracedText::characters(std::size_t begin, std::size_t end, std::string_view original) const {
  std::size_t first = no_origin, last = no_origin;
  for (std::size_t at = begin; at < end; ++at) {
    std::size_t origin = (*origins)[at];
    if (origin == no_origin) continue;
    first = std::min(first, origin);
    last = last == no_origin ? origin : std::max(last, origin);
  }
  if (first == no_origin) return {};
  return {first, last + code_point_at(original, last).size};
}

TracedText replace_all(TracedText text, const Pattern& pattern, std::string_view content, const GrowthLimit& limit,
                       const std::string& where) {
  std::vector<Span> matches = pattern.find_all(text.bytes);
  if (matches.empty()) return text;
  std::size_t size = text.bytes.size();
  for (const Span& match : matches) size = size - (match.end - match.begin) + content.size();
  limit.check(size, where);
  TracedText out = text.blank();
  out.append_replaced(text, 0, text.bytes.size(), matches, content);
  return out;
}

}  // namespace loragrad
