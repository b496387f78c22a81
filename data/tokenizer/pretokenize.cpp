#include "data/tokenizer/pretokenize.h"

#include "data/tokenizer/byte_level.h"
#include "data/unicode.h"
#include "io/utf8.h"

namespace loragrad {
namespace {

std::string_view view(const TracedText& text, const Span& word) {
  return std::string_view(text.bytes).substr(word.begin, word.end - word.begin);
}

/// Puts the parts of each word in its place: split(bytes) gives their bounds within the word.
template <class Split>
void split_words(Words& words, Split split) {
  std::vector<Span> parts;
  parts.reserve(words.bounds.size());
  for (const Span& word : words.bounds)
    for (const Span& part : split(view(words.text, word)))
      parts.push_back({word.begin + part.begin, word.begin + part.end});
  words.at_start = words.at_start && !parts.empty() && parts[0].begin == words.bounds[0].begin;
  words.bounds = std::move(parts);
}

/// Writes each word anew: write(text, word, out) appends it to `out`.
template <class Write>
void rewrite_words(Words& words, Write write) {
  TracedText out = words.text.blank();
  for (Span& word : words.bounds) {
    std::size_t begin = out.bytes.size();
    write(words.text, word, out);
    word = {begin, out.bytes.size()};
  }
  words.text = std::move(out);
}

std::vector<Span> find_digits(std::string_view text) {
  std::vector<Span> matches;
  for (std::size_t at = 0; at < text.size();) {
    CodePoint point = code_point_at(text, at);
    if (is_numeric(point.value)) matches.push_back({at, at + point.size, true});
    at += point.size;
  }
  return matches;
}

void byte_level(const PreTokenizer& step, Words& words) {
  if (step.add_prefix_space)
    rewrite_words(words, [](const TracedText& text, const Span& word, TracedText& out) {
      if (!view(text, word).starts_with(' ')) out.append(" ", text.origin_before(word.begin));
      out.append(text, word.begin, word.end);
    });
  if (step.use_regex)
    split_words(words, [&](std::string_view word) { return with_gaps(step.pattern.find_all(word), word.size()); });
  rewrite_words(words, [](const TracedText& text, const Span& word, TracedText& out) {
    std::string_view bytes = view(text, word);
    if (!text.origins) {
      out.bytes += to_byte_level(bytes);
      return;
    }
    for (std::size_t i = 0; i < bytes.size(); ++i)
      out.append(to_byte_level(bytes.substr(i, 1)), (*text.origins)[word.begin + i]);
  });
}

void metaspace(const PreTokenizer& step, Words& words) {
  Pattern space = Pattern::literal(" "), replacement = Pattern::literal(step.replacement);
  bool prepend =
      step.prepend == PreTokenizer::Prepend::always || (step.prepend == PreTokenizer::Prepend::first && words.at_start);
  rewrite_words(words, [&](const TracedText& text, const Span& word, TracedText& out) {
    std::string_view bytes = view(text, word);
    if (prepend && !bytes.starts_with(' ') && !bytes.starts_with(step.replacement))
      out.append(step.replacement, text.origin_before(word.begin));
    out.append_replaced(text, word.begin, word.end, space.find_all(bytes), step.replacement);
    if (step.prepend == PreTokenizer::Prepend::first) prepend = false;
  });
  if (!step.split_words) return;
  split_words(words, [&](std::string_view word) {
    return split_pieces(with_gaps(replacement.find_all(word), word.size()), SplitBehavior::merged_with_next);
  });
}

void apply(const PreTokenizer& step, Words& words) {
  switch (step.kind) {
    case PreTokenizer::Kind::byte_level:
      return byte_level(step, words);
    case PreTokenizer::Kind::metaspace:
      return metaspace(step, words);
    case PreTokenizer::Kind::digits:
      return split_words(words, [&](std::string_view word) {
        return split_pieces(with_gaps(find_digits(word), word.size()),
                            step.individual ? SplitBehavior::isolated : SplitBehavior::contiguous);
      });
    case PreTokenizer::Kind::split:
      return split_words(words, [&](std::string_view word) {
        std::vector<Span> spans = with_gaps(step.pattern.find_all(word), word.size());
        if (step.invert)
          for (Span& span : spans) span.match = !span.match;
        return split_pieces(spans, step.behavior);
      });
  }
}

}  // namespace

Pattern gpt2_pattern() {
  return Pattern::regex(
      Regex(R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)", "ByteLevel"));
}

Words pre_tokenize(const std::vector<PreTokenizer>& steps, TracedText text, bool at_start, const GrowthLimit& limit) {
  Words words{std::move(text), {}, at_start};
  if (!words.text.bytes.empty()) words.bounds.push_back({0, words.text.bytes.size()});
  for (const PreTokenizer& step : steps) {
    apply(step, words);
    limit.check(words.text.bytes.size(), step.where);
  }
  return words;
}

}  // namespace loragrad
