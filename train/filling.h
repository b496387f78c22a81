#pragma once
#include <cstdint>

#include "data/dataset.h"
#include "train/trainer.h"

namespace loragrad {

/// How full the micro-batches of a run are: of its first steps, some ten thousand rows.
struct Filling {
  std::int64_t steps = 0, tokens = 0;
  std::int64_t batches = 0;          ///< as the options cut them
  std::int64_t batches_by_rows = 0;  ///< of batch_size rows, without max_tokens_per_batch

  double batches_a_step() const { return static_cast<double>(batches) / static_cast<double>(steps); }
  double rows_batches_a_step() const { return static_cast<double>(batches_by_rows) / static_cast<double>(steps); }
  double tokens_a_batch() const { return static_cast<double>(tokens) / static_cast<double>(batches); }
};

/// The order of the rows is known before the run. For data with rows and options that take a step.
Filling filling_of(const Dataset& data, const TrainOptions& options);

}  // namespace loragrad
