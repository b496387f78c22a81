#pragma once
// Threads: one at a time for each device (engine/device.h).
#include <cstdint>
#include <span>
#include <vector>

#include "engine/tensor.h"
#include "models/generate/key_value_cache.h"
#include "ops/attention.h"
#include "ops/cross_entropy.h"

namespace loragrad {

/// One row as it goes into a batch. `labels` (same length, or empty) are shifted by one here: position t is supervised
/// by labels[t + 1]; negative labels are "no loss".
struct BatchRow {
  std::span<const std::int32_t> ids, labels;
  std::int32_t row_in_step = 0;  ///< keys dropout: the row's number in the optimiser step, whatever the micro-batch
  std::int64_t place = 0;        ///< with a cache: the row's; the tokens follow those that are there
};

/// The rows' tokens one after the other, without padding.
struct Batch {
  Tensor ids;             ///< [tokens, 1] i32
  Tensor positions;       ///< [tokens, 1] i32, from 0 in each row, or with a cache from its length
  Targets targets;        ///< the supervised ones
  Tensor dropout_tokens;  ///< [tokens, 2] i32: row in the step, position
  std::vector<std::int32_t> ids_on_host;
  RowSpansPtr spans;
  std::vector<std::int64_t> places;  ///< with a cache: of each row
  Tensor cache_rows;                 ///< with a cache: [tokens, 1] i32, where in it each token's key goes
  std::int64_t tokens = 0, supervised = 0;
};

/// InputError for an id outside [0, vocab_size), naming the row and the id; for a row longer than max_positions (0: no
/// limit). With `cache` the batch is for one pass through it, as it is now; UsageError for a place that it does not have
/// or that has no room.
Batch make_batch(const DevicePtr& device, const std::vector<BatchRow>& rows, std::int64_t vocab_size,
                 std::int64_t max_positions, const KeyValueCache* cache = nullptr);

}  // namespace loragrad
