#pragma once
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "data/tokenizer/growth_limit.h"
#include "data/tokenizer/split.h"
#include "data/tokenizer/tokenizer.h"

namespace loragrad {

/// A text on its way through the steps of a tokenizer. If traced, it knows for each of its bytes which character of the
/// original text that byte stands for (docs/design/012-characters-of-tokens.md).
struct TracedText {
  std::string bytes;
  /// By byte: where in the original the character begins, or `no_origin`. nullopt unless traced.
  std::optional<std::vector<std::size_t>> origins = {};
  static constexpr std::size_t no_origin = static_cast<std::size_t>(-1);

  /// Bytes [begin, end) of `original`.
  static TracedText of(std::string_view original, std::size_t begin, std::size_t end, bool traced);
  /// An empty text, traced if this one is, with room for as many bytes.
  TracedText blank() const;

  /// Appends bytes [begin, end) of `other`, which is traced if this one is.
  void append(const TracedText& other, std::size_t begin, std::size_t end);
  /// Appends `content`, all of which stands for one character.
  void append(std::string_view content, std::size_t origin);
  /// Appends bytes [begin, end) of `other` with `content` in place of each match; matches count from `begin`. What
  /// replaces a match stands for its first character; at an empty match, as if it were put before the next one.
  void append_replaced(const TracedText& other, std::size_t begin, std::size_t end, const std::vector<Span>& matches,
                       std::string_view content);

  /// The character for what is put before byte `at`: that of this byte, or of the last one at the end. `no_origin` if
  /// the text is empty, and if it is not traced.
  std::size_t origin_before(std::size_t at) const;
  /// The characters of `original` that bytes [begin, end) stand for, from the first to the last. Traced texts only.
  TextSpan characters(std::size_t begin, std::size_t end, std::string_view original) const;
};

/// `text` with `content` in place of every match. InputError("WHERE: ...") when that is longer than `limit` allows.
TracedText replace_all(TracedText text, const Pattern& pattern, std::string_view content, const GrowthLimit& limit,
                       const std::string& where);

}  // namespace loragrad
