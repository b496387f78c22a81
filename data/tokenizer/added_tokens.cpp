#include "data/tokenizer/added_tokens.h"

#include <algorithm>

#include "data/unicode.h"
#include "io/utf8.h"

namespace loragrad {
namespace {

// Calls on_token(index, begin, end) and on_text(begin, end) from left to right for what `set` finds and leaves in
// `text`.
template <class OnToken, class OnText>
void cut(std::string_view text, const StringSet& set, const std::vector<AddedToken>& tokens, OnToken on_token,
         OnText on_text) {
  std::size_t done = 0;
  for (const StringSet::Match& match : set.find_all(text)) {
    const AddedToken& token = tokens[match.value];
    if (!token.matched) continue;
    std::string_view before = text.substr(0, match.begin), behind = text.substr(match.end);
    if (token.single_word) {
      if (!before.empty() && is_word(last_code_point(before))) continue;
      if (!behind.empty() && is_word(code_point_at(behind, 0).value)) continue;
    }
    std::size_t begin = match.begin, end = match.end;
    // Not the white space that an rstrip token before it has taken.
    if (token.lstrip) begin = std::max(done, begin - trailing_white_space(before));
    if (token.rstrip) end += leading_white_space(behind);
    if (begin >= end) continue;  // all of it was taken
    if (done < begin) on_text(done, begin);
    on_token(match.value, match.begin, match.end);
    done = end;
  }
  if (done < text.size()) on_text(done, text.size());
}

}  // namespace

void StringSet::add(std::string_view text, std::size_t value) {
  if (text.empty()) return;
  starts_[static_cast<unsigned char>(text[0])] = true;
  std::size_t node = 0;
  for (char byte : text) {
    auto [at, added] = edges_.try_emplace(edge(node, byte), values_.size());
    if (added) values_.push_back(none);
    node = at->second;
  }
  values_[node] = value;
}

std::vector<StringSet::Match> StringSet::find_all(std::string_view text) const {
  std::vector<Match> matches;
  for (std::size_t begin = 0; begin < text.size();) {
    Match best{begin, begin, none};
    if (starts_[static_cast<unsigned char>(text[begin])]) {
      std::size_t node = 0;
      for (std::size_t at = begin; at < text.size(); ++at) {
        auto next = edges_.find(edge(node, text[at]));
        if (next == edges_.end()) break;
        node = next->second;
        if (values_[node] != none) best = {begin, at + 1, values_[node]};
      }
    }
    if (best.value != none) matches.push_back(best);
    begin = std::max(begin + 1, best.end);
  }
  return matches;
}

AddedTokens::AddedTokens(std::vector<AddedToken> tokens, const std::vector<Normalizer>& normalizer)
    : tokens_(std::move(tokens)) {
  for (std::size_t i = 0; i < tokens_.size(); ++i) {
    if (tokens_[i].normalized)
      normalized_.add(normalize(normalizer, tokens_[i].content), i);
    else
      raw_.add(tokens_[i].content, i);
  }
}

std::vector<AddedTokens::Part> AddedTokens::split(std::string_view text, const std::vector<Normalizer>& normalizer,
                                                  bool traced) const {
  std::vector<Part> parts;
  GrowthLimit limit(text.size());
  auto on_token = [&](std::size_t index, std::size_t begin, std::size_t end) {
    parts.push_back({tokens_[index].id, {begin, end}, {}, false});
  };
  auto on_text = [&](std::size_t begin, std::size_t end) {
    TracedText piece = normalize(normalizer, TracedText::of(text, begin, end, traced), limit);
    limit.add(piece.bytes.size());
    auto on_normalized = [&](std::size_t index, std::size_t from, std::size_t to) {
      parts.push_back({tokens_[index].id, traced ? piece.characters(from, to, text) : TextSpan(), {}, false});
    };
    cut(piece.bytes, normalized_, tokens_, on_normalized, [&](std::size_t from, std::size_t to) {
      TracedText rest = piece.blank();
      rest.append(piece, from, to);
      parts.push_back({-1, {}, std::move(rest), begin == 0 && from == 0});
    });
  };
  cut(text, raw_, tokens_, on_token, on_text);
  return parts;
}

}  // namespace loragrad
