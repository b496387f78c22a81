#include "data/tokenizer/split.h"

#include <algorithm>

namespace loragrad {

Pattern Pattern::literal(std::string text) {
  Pattern pattern;
  pattern.literal_ = std::move(text);
  return pattern;
}

Pattern Pattern::regex(Regex regex) {
  Pattern pattern;
  pattern.regex_ = std::make_shared<const Regex>(std::move(regex));
  return pattern;
}

std::vector<Span> Pattern::find_all(std::string_view text) const {
  if (regex_) return regex_->find_all(text);
  std::vector<Span> matches;
  for (std::size_t at = 0; (at = text.find(literal_, at)) != std::string_view::npos; at += literal_.size())
    matches.push_back({at, at + literal_.size(), true});
  return matches;
}

std::vector<Span> with_gaps(const std::vector<Span>& matches, std::size_t size) {
  std::vector<Span> spans;
  spans.reserve(matches.size() + 1);
  std::size_t at = 0;
  for (const Span& match : matches) {
    if (at < match.begin) spans.push_back({at, match.begin, false});
    if (match.begin < match.end) spans.push_back(match);
    at = match.end;
  }
  if (at < size) spans.push_back({at, size, false});
  return spans;
}

std::vector<Span> split_pieces(const std::vector<Span>& spans, SplitBehavior behavior) {
  std::vector<Span> pieces;
  pieces.reserve(spans.size());
  for (std::size_t i = 0; i < spans.size(); ++i) {
    const Span& span = spans[i];
    bool joins = false;  // this span goes to the piece before it
    switch (behavior) {
      case SplitBehavior::isolated:
        break;
      case SplitBehavior::removed:
        if (span.match) continue;
        break;
      case SplitBehavior::contiguous:
        joins = i > 0 && spans[i - 1].match == span.match;
        break;
      // Of delimiters in a row only the one next to the text is merged with it.
      case SplitBehavior::merged_with_previous:
        joins = i > 0 && span.match && !spans[i - 1].match;
        break;
      case SplitBehavior::merged_with_next:
        joins = i > 0 && spans[i - 1].match && !span.match;
        break;
    }
    if (joins)
      pieces.back().end = span.end;
    else
      pieces.push_back(span);
  }
  return pieces;
}

}  // namespace loragrad
