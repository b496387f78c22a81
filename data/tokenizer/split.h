#pragma once
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "data/tokenizer/regex.h"

namespace loragrad {

/// What becomes of a delimiter when a text is split at it.
enum class SplitBehavior { removed, isolated, merged_with_previous, merged_with_next, contiguous };

/// A fixed text or a regular expression to look for.
class Pattern {
 public:
  static Pattern literal(std::string text);
  static Pattern regex(Regex regex);
  /// All matches, left to right, none overlapping.
  std::vector<Span> find_all(std::string_view text) const;

 private:
  std::string literal_;
  std::shared_ptr<const Regex> regex_;  // null: the literal
};

/// Matches and what lies between them, covering a text of `size` bytes; empty spans are left out.
std::vector<Span> with_gaps(const std::vector<Span>& matches, std::size_t size);
/// The pieces of a text that is covered by `spans`, delimiters being those with `match`. No piece is empty.
std::vector<Span> split_pieces(const std::vector<Span>& spans, SplitBehavior behavior);

}  // namespace loragrad
