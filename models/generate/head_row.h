#pragma once
#include <cstdint>
#include <string>

#include "models/model.h"

namespace loragrad {

/// What a token's row of the head tells of its training. Rows that were never trained are as they were made: reserved
/// and padded tokens mostly all alike. Tokens with equal rows have equal logits whatever the text, until one of the
/// rows is trained.
struct HeadRow {
  std::string parameter;   ///< whose row it is: the head, or the embedding where they are tied
  std::int64_t equal = 0;  ///< other tokens with the same bits, of those that were looked at
  bool zero = false;
};

/// Looks at the rows of up to 256 ids on either side of `id`, and at the last 256 of the vocabulary: where reserved and
/// padded tokens are. A row with NaN or Inf equals none. UsageError on a meta device, or for an id that the vocabulary
/// does not have.
HeadRow head_row(const CausalLm& model, std::int32_t id);

}  // namespace loragrad
