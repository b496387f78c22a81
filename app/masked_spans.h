#pragma once
#include <string>
#include <vector>

#include "data/dataset.h"
#include "io/json.h"

namespace loragrad {

/// A run of a row's tokens that all have a loss, or all have none.
struct MaskedSpan {
  bool supervised = false;
  std::vector<TokenId> ids;
  std::string text;  ///< theirs, special tokens spelled out; without a tokenizer the ids
};

/// A row cut where its loss mask changes. The texts together are the row's. The first token has no loss, whatever its
/// label: nothing comes before it.
std::vector<MaskedSpan> masked_spans(const Row& row, const Tokenizer* tokenizer);

/// The spans as lines, each with its number of tokens and whether they have a loss, wrapped to `width` columns. Long
/// spans and many spans are cut, and it is said by how much.
std::string spans_text(const std::vector<MaskedSpan>& spans, int width, bool colour);

/// [{"supervised", "ids", "text"}, ...], "text" null without a tokenizer.
Json spans_json(const std::vector<MaskedSpan>& spans, bool has_text);

}  // namespace loragrad
