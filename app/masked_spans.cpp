#include "app/masked_spans.h"

#include <fmt/format.h>

#include <algorithm>

#include "app/terminal/text_stream.h"
#include "data/unicode.h"
#include "io/utf8.h"

namespace loragrad {
namespace {

constexpr std::size_t most_spans = 12, most_lines = 6;

/// What `ids` add to the text of `before`: a token's text may depend on the one before it.
std::string text_after(const Tokenizer& tokenizer, std::vector<TokenId> before, const std::vector<TokenId>& ids) {
  std::string start = tokenizer.decode(before, false);
  before.insert(before.end(), ids.begin(), ids.end());
  return added_text(start, tokenizer.decode(before, false));
}

/// One line, broken after spaces where there are some, so that no line is wider than `width` columns.
void wrap_line(const std::string& line, int width, std::vector<std::string>& out) {
  std::size_t begin = 0, after_space = 0;
  int columns = 0, since_space = 0;
  for (std::size_t at = 0; at < line.size();) {
    CodePoint point = code_point_at(line, at);
    int w = display_width(point.value);
    if (columns + w > width) {
      std::size_t end = after_space > begin ? after_space : at;
      out.push_back(line.substr(begin, end - begin));
      columns = after_space > begin ? since_space : 0;
      begin = end;
    }
    columns += w;
    since_space += w;
    at += point.size;
    if (point.value == ' ') {
      after_space = at;
      since_space = 0;
    }
  }
  out.push_back(line.substr(begin));
}

/// A text's lines, the end of each marked; control characters are escaped.
std::vector<std::string> wrapped(const std::string& text, int width) {
  std::vector<std::string> lines;
  for (std::size_t begin = 0; begin < text.size();) {
    std::size_t end = text.find('\n', begin);
    bool ends = end != std::string::npos;
    if (!ends) end = text.size();
    wrap_line(escaped(text.substr(begin, end - begin), std::string::npos) + (ends ? "↵" : ""), width, lines);
    begin = end + (ends ? 1 : 0);
  }
  if (lines.size() > most_lines) {
    std::size_t left_out = lines.size() - most_lines + 1;
    auto cut = lines.end() - 1 - static_cast<std::ptrdiff_t>(left_out);
    lines.erase(cut, lines.end() - 1);
    lines.insert(lines.end() - 1, fmt::format("... {} lines ...", left_out));
  }
  return lines;
}

}  // namespace

std::vector<MaskedSpan> masked_spans(const Row& row, const Tokenizer* tokenizer) {
  std::vector<MaskedSpan> spans;
  for (std::size_t t = 0; t < row.input_ids.size(); ++t) {
    bool supervised = t > 0 && row.labels[t] != no_label;
    if (spans.empty() || spans.back().supervised != supervised) spans.push_back({supervised, {}, ""});
    spans.back().ids.push_back(row.input_ids[t]);
  }
  for (std::size_t i = 0; i < spans.size(); ++i)
    spans[i].text = tokenizer ? text_after(*tokenizer, i ? spans[i - 1].ids : std::vector<TokenId>{}, spans[i].ids)
                              : fmt::format("{}", fmt::join(spans[i].ids, " "));
  return spans;
}

std::string spans_text(const std::vector<MaskedSpan>& spans, int width, bool colour) {
  std::string out;
  std::size_t shown = std::min(spans.size(), most_spans);
  for (std::size_t i = 0; i < shown; ++i) {
    const MaskedSpan& span = spans[i];
    std::string label = fmt::format("  {:7} {:5}", span.supervised ? "loss" : "no loss", span.ids.size());
    std::vector<std::string> lines = wrapped(span.text, std::max(20, width - static_cast<int>(label.size()) - 3));
    if (lines.empty()) lines.emplace_back();  // tokens without a text
    for (const std::string& line : lines) {
      // Green: what is learnt. Dim: what is only read.
      out += fmt::format("{} | {}\n", label,
                         colour ? fmt::format("\033[{}m{}\033[0m", span.supervised ? "32" : "2", line) : line);
      label.assign(label.size(), ' ');
    }
  }
  if (shown < spans.size()) out += fmt::format("  ... and {} more such runs of tokens\n", spans.size() - shown);
  return out;
}

Json spans_json(const std::vector<MaskedSpan>& spans, bool has_text) {
  Json::Array out;
  for (const MaskedSpan& span : spans)
    out.push_back(Json::Object{{"supervised", span.supervised},
                               {"ids", Json::Array(span.ids.begin(), span.ids.end())},
                               {"text", has_text ? Json(span.text) : Json()}});
  return out;
}

}  // namespace loragrad
