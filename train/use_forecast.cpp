#include "train/use_forecast.h"

#include <algorithm>

#include "lora/merge.h"

namespace loragrad {
namespace {

/// What `passes` takes beside the model and the adapters, which are there.
template <class Passes>
Forecast forecast_passes(const CausalLm& outline, const std::vector<WeightedAdapter>& adapters, Passes passes) {
  Device& meta = *outline.device();
  Forecast forecast = forecast_before(outline, 1);
  for (const WeightedAdapter& each : adapters)
    for (const auto& [name, tensor] : each.adapter.tensors()) forecast.trained += tensor.bytes();
  forecast.weights = meta.memory().live() - forecast.trained;
  passes();
  forecast.activations = meta.footprint() - forecast.weights - forecast.trained;
  return forecast;
}

/// One row of `tokens`, of which `cache` may have some already: logits of the last, or of all.
void run_row(const CausalLm& outline, const ActiveAdapters& adapters, std::int64_t tokens, KeyValueCache* cache) {
  std::vector<std::int32_t> ids(static_cast<std::size_t>(tokens));
  BatchRow row{.ids = ids, .labels = {}};
  if (cache) row.first_position = static_cast<std::int32_t>(cache->length);
  Batch batch = make_batch(outline.device(), {row}, outline.config().vocab_size, 0);
  Tensor hidden = outline.hidden({.batch = batch, .adapters = adapters, .record = false, .cache = cache});
  outline.logits(cache ? hidden.rows(hidden.rows() - 1, 1) : hidden);
}

}  // namespace

Forecast forecast_evaluation(const CausalLm& outline, const std::vector<WeightedAdapter>& adapters, const Dataset& data,
                             const EvalOptions& options) {
  std::size_t logits = 0;
  Forecast forecast = forecast_passes(outline, adapters, [&] {
    EvalOptions evaluation{.tokens_per_batch = options.tokens_per_batch, .adapters = outline.activate(adapters)};
    if (options.logits) evaluation.logits = [&](std::int64_t, const Tensor& row) { logits = row.bytes(); };
    if (!data.rows.empty()) evaluate(outline, heaviest_part(data, evaluation), evaluation);
  });
  if (forecast.own_memory) forecast.process += logits;
  return forecast;
}

Forecast forecast_generation(const CausalLm& outline, const std::vector<WeightedAdapter>& adapters,
                             std::int64_t prompt_tokens, std::int64_t max_tokens) {
  return forecast_passes(outline, adapters, [&] {
    // A prompt that leaves no position is refused when it is run.
    std::int64_t positions = outline.config().max_position_embeddings;
    if (prompt_tokens >= positions) return;
    ActiveAdapters active = outline.activate(adapters);
    KeyValueCache cache = outline.make_cache(std::min(positions, prompt_tokens + max_tokens));
    run_row(outline, active, prompt_tokens, &cache);
    cache.length = cache.capacity - 1;
    run_row(outline, active, 1, &cache);
  });
}

Forecast forecast_merge(const CausalLm& outline, const std::string& model_folder,
                        const std::vector<WeightedAdapter>& adapters) {
  std::int64_t largest = 0;
  for (const LinearShape& linear : outline.linear_shapes()) largest = std::max(largest, linear.in * linear.out);
  std::size_t block = std::min(merge_block_bytes, bytes_of(DType::f32, largest));
  Forecast forecast = forecast_passes(outline, adapters, [&] {
    const DevicePtr& meta = outline.device();
    {
      Tensor weight = Tensor::empty(meta, {1, largest}, outline.stored_dtype());
      Tensor blocks = Tensor::empty(meta, {3, static_cast<std::int64_t>(block / 4)}, DType::f32);
    }
    std::int64_t sample = std::min<std::int64_t>(32, outline.config().max_position_embeddings);
    run_row(outline, outline.activate(adapters), sample, nullptr);
    Precision precision = outline.compute_dtype() == DType::bf16 ? Precision::bf16 : Precision::f32;
    run_row(*load_model(model_folder, meta, {.precision = precision}), {}, sample, nullptr);
  });
  forecast.process += bytes_of(outline.stored_dtype(), largest) + 3 * block;
  return forecast;
}

}  // namespace loragrad
