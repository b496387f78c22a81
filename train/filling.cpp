#include "train/filling.h"

#include <algorithm>

#include "data/row_stream.h"
#include "train/step.h"

namespace loragrad {

namespace {
constexpr std::int64_t followed_rows = 10'000;
}  // namespace

Filling filling_of(const Dataset& data, const TrainOptions& options) {
  std::int64_t size = options.rows_per_step();
  RowStream stream = row_stream(options, data.rows.size());
  Filling filling;
  filling.steps =
      std::min(options.total_steps(static_cast<std::int64_t>(data.rows.size())), (followed_rows + size - 1) / size);
  for (std::int64_t t = 0; t < filling.steps; ++t) {
    StepRows rows;
    for (std::size_t i : stream.next(static_cast<std::size_t>(size))) rows.push_back(&data.rows[i]);
    for (const Row* row : rows) filling.tokens += static_cast<std::int64_t>(row->input_ids.size());
    auto count = [&](std::int64_t rows_at_once, std::int64_t tokens) {
      return static_cast<std::int64_t>(micro_batches(rows, rows_at_once, tokens).size());
    };
    filling.batches += count(options.rows_at_once(), options.max_tokens_per_batch);
    filling.batches_by_rows += count(options.batch_size, 0);
  }
  return filling;
}

}  // namespace loragrad
