#pragma once
// Threads: one at a time for each device (engine/device.h).
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "data/dataset.h"
#include "models/model.h"

namespace loragrad {

struct EvalReport {
  double loss = 0;        ///< sum over supervised tokens / their number
  double perplexity = 0;  ///< exp(loss), which may be too large for a double: inf
  std::int64_t supervised_tokens = 0, tokens = 0, rows = 0;
  double seconds = 0;
  /// Of the first rows whose loss is NaN or Inf, "FILE: rows 3 to 5: expected a finite loss, found nan": the loss is
  /// none then, all else stands. Empty when it is finite.
  std::string not_finite = {};
};

struct EvalOptions {
  /// Whole rows are taken together while their tokens stay within this; a longer row goes alone.
  std::int64_t tokens_per_batch = 2048;
  /// Called for every row in order with its logits, [tokens, vocab] f32 (f64 when computing in f64). Rows then go one
  /// by one.
  std::function<void(std::int64_t row, const Tensor& logits)> logits = {};
  ActiveAdapters adapters = {};  ///< those with a name in the rows that chose it (Row::adapter)
  /// Polled after each batch; true ends early, and the report is of the rows so far.
  std::function<bool()> stop = {};
};

/// Where each part of the data that is evaluated at once ends, in order.
std::vector<std::size_t> evaluation_batches(const Dataset& data, const EvalOptions& options);

/// The rows with the most tokens that an evaluation takes at once, with a label at every token: what its memory is
/// forecast by.
Dataset heaviest_part(const Dataset& data, const EvalOptions& options);

/// Loss over a data set, without dropout; nothing is recorded on the tape. A loss that is NaN or Inf ends nothing: the
/// report names the rows. InputError for data without supervised tokens (unless stopped).
EvalReport evaluate(const CausalLm& model, const Dataset& data, const EvalOptions& options = {});

}  // namespace loragrad
