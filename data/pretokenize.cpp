#include "data/pretokenize.h"

#include "data/byte_level.h"
#include "data/unicode.h"
#include "io/utf8.h"

namespace loragrad {
namespace {

void append_parts(std::vector<Piece>& out, const Piece& piece, const std::vector<Span>& spans) {
  for (const Span& span : spans)
    out.push_back({piece.text.substr(span.begin, span.end - span.begin), piece.at_start && span.begin == 0});
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

void byte_level(const PreTokenizer& step, Piece& piece, std::vector<Piece>& out) {
  if (step.add_prefix_space && !piece.text.starts_with(' ')) piece.text.insert(0, 1, ' ');
  std::size_t first = out.size();
  if (step.use_regex)
    append_parts(out, piece, with_gaps(step.pattern.find_all(piece.text), piece.text.size()));
  else
    out.push_back(std::move(piece));
  for (std::size_t i = first; i < out.size(); ++i) out[i].text = to_byte_level(out[i].text);
}

void metaspace(const PreTokenizer& step, Piece& piece, std::vector<Piece>& out) {
  piece.text = Pattern::literal(" ").replace_all(piece.text, step.replacement);
  bool prepend =
      step.prepend == PreTokenizer::Prepend::always || (step.prepend == PreTokenizer::Prepend::first && piece.at_start);
  if (prepend && !piece.text.starts_with(step.replacement)) piece.text.insert(0, step.replacement);
  if (!step.split_words) {
    out.push_back(std::move(piece));
    return;
  }
  std::vector<Span> spans = with_gaps(Pattern::literal(step.replacement).find_all(piece.text), piece.text.size());
  append_parts(out, piece, split_pieces(spans, SplitBehavior::merged_with_next));
}

// Leaves `piece` in any state.
void apply(const PreTokenizer& step, Piece& piece, std::vector<Piece>& out) {
  switch (step.kind) {
    case PreTokenizer::Kind::byte_level:
      return byte_level(step, piece, out);
    case PreTokenizer::Kind::metaspace:
      return metaspace(step, piece, out);
    case PreTokenizer::Kind::digits:
      return append_parts(out, piece,
                          split_pieces(with_gaps(find_digits(piece.text), piece.text.size()),
                                       step.individual ? SplitBehavior::isolated : SplitBehavior::contiguous));
    case PreTokenizer::Kind::split: {
      std::vector<Span> spans = with_gaps(step.pattern.find_all(piece.text), piece.text.size());
      if (step.invert)
        for (Span& span : spans) span.match = !span.match;
      return append_parts(out, piece, split_pieces(spans, step.behavior));
    }
  }
}

}  // namespace

Pattern gpt2_pattern() {
  return Pattern::regex(
      Regex(R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)", "ByteLevel"));
}

std::vector<Piece> pre_tokenize(const std::vector<PreTokenizer>& steps, std::vector<Piece> pieces) {
  for (const PreTokenizer& step : steps) {
    std::vector<Piece> next;
    next.reserve(pieces.size());
    for (Piece& piece : pieces) apply(step, piece, next);
    pieces = std::move(next);
  }
  return pieces;
}

}  // namespace loragrad
