#include "train/use_forecast.h"

#include <algorithm>

#include "lora/merge/merge.h"
#include "ops/argmax.h"

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

/// Rows of `tokens` each: logits of each token or, with a cache, of each row's last. Those are rows of one token, or one
/// row.
void run_rows(const CausalLm& outline, const ActiveAdapters& adapters, std::int64_t rows, std::int64_t tokens,
              KeyValueCache* cache) {
  std::vector<std::int32_t> ids(static_cast<std::size_t>(tokens));
  std::vector<BatchRow> list;
  for (std::int64_t row = 0; row < rows; ++row) list.push_back({.ids = ids, .labels = {}, .place = row});
  Pass pass{.batch = make_batch(outline.device(), list, outline.config().vocab_size, 0, cache),
            .adapters = adapters,
            .record = false,
            .rows_alone = cache && tokens == 1,
            .cache = cache};
  Tensor hidden = outline.hidden(pass);
  Tensor logits = outline.logits(cache ? hidden.rows(hidden.rows() - rows, rows) : hidden, pass, cache != nullptr);
  if (cache) argmax(logits);
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
                             std::int64_t prompt_tokens, std::int64_t max_tokens, std::int64_t rows) {
  return forecast_passes(outline, adapters, [&] {
    // A prompt that leaves no position is refused when it is run.
    std::int64_t positions = outline.config().max_position_embeddings;
    if (prompt_tokens >= positions) return;
    ActiveAdapters active = outline.activate(adapters);
    KeyValueCache cache = outline.make_cache(std::min(positions, prompt_tokens + max_tokens), rows);
    // A row that grows beyond this many tokens is computed anew.
    std::int64_t longest = outline.config().original_max_position_embeddings, read = prompt_tokens;
    if (longest > 0 && cache.capacity() > longest + 1) read = std::max(read, longest + 1);
    std::vector<std::string> names{""}, of_rows;
    for (const WeightedAdapter& adapter : adapters)
      if (std::count(names.begin(), names.end(), adapter.name.value_or("")) == 0) names.push_back(*adapter.name);
    for (const std::string& name : names) {
      cache.clear(0);
      run_rows(outline, active.for_rows({name}), 1, read, &cache);
    }
    for (std::int64_t row = 0; row < rows; ++row) {
      cache.advance(row, cache.capacity() - 1 - cache.length(row));
      of_rows.push_back(names[static_cast<std::size_t>(row) % names.size()]);
    }
    run_rows(outline, active.for_rows(of_rows), rows, 1, &cache);
  });
}

Forecast forecast_merge(const CausalLm& outline, const std::string& model_folder,
                        const std::vector<WeightedAdapter>& adapters) {
  std::int64_t largest = 0;
  auto adapted = [&](const LinearShape& map) {
    return std::any_of(adapters.begin(), adapters.end(), [&](const WeightedAdapter& each) {
      const std::vector<LoraModule>& modules = each.adapter.modules;
      return std::any_of(modules.begin(), modules.end(), [&](const LoraModule& m) { return m.name == map.name; });
    });
  };
  for (const LinearShape& map : outline.adaptable_shapes())
    if (!(map.is_embedding || map.is_head) || adapted(map)) largest = std::max(largest, map.in * map.out);
  std::size_t block = std::min(merge_block_bytes, bytes_of(DType::f32, largest));
  Forecast forecast = forecast_passes(outline, adapters, [&] {
    const DevicePtr& meta = outline.device();
    {
      Tensor weight = Tensor::empty(meta, {1, largest}, outline.stored_dtype());
      Tensor blocks = Tensor::empty(meta, {3, static_cast<std::int64_t>(block / 4)}, DType::f32);
    }
    std::int64_t sample = std::min<std::int64_t>(32, outline.config().max_position_embeddings);
    run_rows(outline, outline.activate(adapters), 1, sample, nullptr);
    Precision precision = outline.compute_dtype() == DType::bf16 ? Precision::bf16 : Precision::f32;
    run_rows(*load_model(model_folder, meta, {.precision = precision}), {}, 1, sample, nullptr);
  });
  forecast.process += bytes_of(outline.stored_dtype(), largest) + 3 * block;
  return forecast;
}

}  // namespace loragrad
