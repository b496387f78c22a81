#pragma once
// Threads: one at a time for each device (engine/device.h).
#include <cstdint>
#include <span>
#include <vector>

#include "engine/tensor.h"
#include "ops/attention.h"
#include "ops/cross_entropy.h"

namespace loragrad {

/// One row as it goes into a batch. `labels` (same length, or empty) are shifted by one here: position t is supervised
/// by labels[t + 1]; negative labels are "no loss".
struct BatchRow {
  std::span<const std::int32_t> ids, labels;
  std::int32_t row_in_step = 0;     ///< keys dropout: the row's number in the optimiser step, whatever the micro-batch
  std::int32_t first_position = 0;  ///< > 0 when decoding with a cache
};

/// The rows' tokens one after the other, without padding.
struct Batch {
  Tensor ids;             ///< [tokens, 1] i32
  Tensor positions;       ///< [tokens, 1] i32, from first_position in each row
  Targets targets;        ///< the supervised ones
  Tensor dropout_tokens;  ///< [tokens, 2] i32: row in the step, position
  RowOffsetsPtr offsets;
  std::int64_t tokens = 0, supervised = 0;
};

/// InputError for an id outside [0, vocab_size), naming the row and the id; for a row longer than max_positions (0: no
/// limit).
Batch make_batch(const DevicePtr& device, const std::vector<BatchRow>& rows, std::int64_t vocab_size,
                 std::int64_t max_positions);

}  // namespace loragrad
