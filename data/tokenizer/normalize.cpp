#include "data/tokenizer/normalize.h"

#include "data/unicode.h"
#include "io/utf8.h"

namespace loragrad {
namespace {

TracedText in_form(const TracedText& text, NormalForm form) {
  if (!text.origins) return {normal_form(text.bytes, form)};
  std::vector<std::size_t> origins;
  TracedText out{normal_form(text.bytes, form, &origins)};
  for (std::size_t& origin : origins) origin = (*text.origins)[origin];
  out.origins = std::move(origins);
  return out;
}

// Each character by itself: a capital sigma at a word's end becomes the sigma of all other places.
TracedText lowered(const TracedText& text) {
  TracedText out = text.blank();
  for (std::size_t at = 0; at < text.bytes.size();) {
    CodePoint point = code_point_at(text.bytes, at);
    std::string lower;
    append_lowercase(lower, point.value);
    out.append(lower, text.origin_before(at));
    at += point.size;
  }
  return out;
}

TracedText prepended(const TracedText& text, std::string_view content) {
  TracedText out = text.blank();
  if (!text.bytes.empty()) out.append(content, text.origin_before(0));
  out.append(text, 0, text.bytes.size());
  return out;
}

TracedText stripped(const TracedText& text, bool left, bool right) {
  TracedText out = text.blank();
  std::string_view bytes = text.bytes;
  if (right) bytes.remove_suffix(trailing_white_space(bytes));
  out.append(text, left ? leading_white_space(bytes) : 0, bytes.size());
  return out;
}

TracedText apply(const Normalizer& step, TracedText text, const GrowthLimit& limit) {
  switch (step.kind) {
    case Normalizer::Kind::unicode:
      return in_form(text, step.form);
    case Normalizer::Kind::lowercase:
      return lowered(text);
    case Normalizer::Kind::prepend:
      return prepended(text, step.content);
    case Normalizer::Kind::replace:
      return replace_all(std::move(text), step.pattern, step.content, limit, step.where);
    case Normalizer::Kind::strip:
      return stripped(text, step.left, step.right);
  }
  return text;
}

}  // namespace

TracedText normalize(const std::vector<Normalizer>& steps, TracedText text, const GrowthLimit& limit) {
  for (const Normalizer& step : steps) {
    text = apply(step, std::move(text), limit);
    limit.check(text.bytes.size(), step.where);
  }
  return text;
}

std::string normalize(const std::vector<Normalizer>& steps, const std::string& text) {
  return normalize(steps, TracedText{text}, GrowthLimit(text.size())).bytes;
}

}  // namespace loragrad
