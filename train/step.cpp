#include "train/step.h"

#include <algorithm>
#include <utility>

#include "engine/backward.h"

namespace loragrad {

Batch batch_of(const CausalLm& model, const StepRows& rows, std::size_t begin, std::size_t end) {
  std::vector<BatchRow> batch;
  for (std::size_t i = begin; i < end; ++i)
    batch.push_back({rows[i]->input_ids, rows[i]->labels, static_cast<std::int32_t>(i), 0});
  return make_batch(model.device(), batch, model.config().vocab_size, model.config().max_position_embeddings);
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
  auto size = static_cast<std::size_t>(options.rows_at_once);
  step.sum = Tensor::zeros(model.device(), {1, 1}, DType::f64);
  for (std::size_t begin = 0; begin < rows.size(); begin += size) {
    if (options.on_phase) options.on_phase(StepPhase::forward);
    Batch batch = batch_of(model, rows, begin, std::min(rows.size(), begin + size));
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
