#include "train/step.h"

#include <utility>

#include "engine/backward.h"

namespace loragrad {

Batch batch_of(const CausalLm& model, const StepRows& rows, std::size_t begin, std::size_t end) {
  std::vector<BatchRow> batch;
  for (std::size_t i = begin; i < end; ++i)
    batch.push_back({rows[i]->input_ids, rows[i]->labels, static_cast<std::int32_t>(i), 0});
  return make_batch(model.device(), batch, model.config().vocab_size, model.config().max_position_embeddings);
}

std::vector<std::size_t> micro_batches(const StepRows& rows, std::int64_t rows_at_once, std::int64_t tokens_at_once) {
  std::vector<std::size_t> ends;
  std::int64_t count = 0, tokens = 0;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    auto own = static_cast<std::int64_t>(rows[i]->input_ids.size());
    if (count > 0 && (count == rows_at_once || (tokens_at_once > 0 && tokens + own > tokens_at_once))) {
      ends.push_back(i);
      count = tokens = 0;
    }
    ++count;
    tokens += own;
  }
  if (!rows.empty()) ends.push_back(rows.size());
  return ends;
}

Pass training_pass(Batch batch, const PassOptions& options) {
  return {.batch = std::move(batch),
          .adapters = options.adapters,
          .training = true,
          .dropout_key = options.dropout_key,
          .recompute = options.recompute};
}

StepLoss accumulate_gradients(const CausalLm& model, const StepRows& rows, const PassOptions& options) {
  StepLoss step;
  for (const Row* row : rows) {
    step.tokens += static_cast<std::int64_t>(row->input_ids.size());
    step.supervised += supervised_tokens(*row);
  }
  if (step.supervised == 0) return step;
  auto denominator = static_cast<double>(step.supervised);
  step.sum = Tensor::zeros(model.device(), {1, 1}, DType::f64);
  std::size_t begin = 0;
  for (std::size_t end : micro_batches(rows, options.rows_at_once, options.tokens_at_once)) {
    if (options.on_phase) options.on_phase(StepPhase::forward);
    Batch batch = batch_of(model, rows, std::exchange(begin, end), end);
    if (batch.supervised == 0) continue;
    CrossEntropy result = model.loss(training_pass(batch, options), denominator);
    if (options.on_phase) options.on_phase(StepPhase::backward);
    backward(result.loss);
    model.device()->kernels().accumulate(*model.device(), {result.sum.matrix(), 1, step.sum.mutable_matrix(), 1});
    step.computed += batch.tokens;
  }
  return step;
}

}  // namespace loragrad
