#include "train/forecast.h"

#include <algorithm>

#include "engine/error.h"
#include "io/safetensors.h"
#include "ops/meta_device.h"
#include "optim/adamw.h"
#include "train/evaluate.h"
#include "train/frozen.h"
#include "train/process_memory.h"
#include "train/step.h"

namespace loragrad {
namespace {

// Measured: what a run holds beyond its tensors, mapped files and what was there before it (generated code of the GEMM
// library, its caches, thread stacks).
constexpr std::size_t runtime_bytes = 16 << 20;
// The GEMM library takes room from the heap while a forward pass puts small objects of the tape there: between them
// stay gaps that nobody else uses, about one for each adapted layer on the tape, until there are enough of them.
constexpr std::size_t heap_gap_f32 = 600 << 10, heap_gap_bf16 = 300 << 10, most_heap_gaps = 100;

std::size_t process_bytes(const CausalLm& model, std::size_t adapted, bool checkpoint) {
  auto layers = static_cast<std::size_t>(model.config().num_hidden_layers);
  std::size_t on_tape = std::min(checkpoint ? adapted / layers : adapted, most_heap_gaps);
  return resident_bytes() + runtime_bytes +
         on_tape * (model.compute_dtype() == DType::bf16 ? heap_gap_bf16 : heap_gap_f32);
}

/// A row without a label teaches nothing and takes no time: with labels, it stands for a row that does.
Row with_labels(Row row) {
  if (supervised_tokens(row) == 0) row.labels = row.input_ids;
  return row;
}

/// The longest rows that may meet in one micro-batch.
std::vector<Row> longest_batch(const Dataset& data, const TrainOptions& options) {
  std::vector<const Row*> rows;
  for (const Row& row : data.rows) rows.push_back(&row);
  auto longer = [](const Row* a, const Row* b) { return a->input_ids.size() > b->input_ids.size(); };
  std::stable_sort(rows.begin(), rows.end(), longer);
  // Fewer rows than a batch has: they come again, as often as there are epochs.
  auto size = static_cast<std::size_t>(options.rows_at_once());
  if (!options.steps) size = std::min(size, rows.size() * static_cast<std::size_t>(options.epochs));
  std::vector<Row> batch;
  for (std::size_t i = 0; i < size; ++i) batch.push_back(with_labels(*rows[i % rows.size()]));
  return batch;
}

/// The batch as a step, twice where gradients are kept from one micro-batch to the next.
StepRows step_of(const std::vector<Row>& batch, const TrainOptions& options) {
  StepRows step;
  for (int i = 0; i < (options.rows_per_step() > options.rows_at_once() ? 2 : 1); ++i)
    for (const Row& row : batch) step.push_back(&row);
  return step;
}

/// The most tokens that an evaluation takes at once.
Dataset longest_evaluation(const Dataset& eval, std::int64_t tokens_at_once) {
  Dataset part = eval;
  std::stable_sort(part.rows.begin(), part.rows.end(),
                   [](const Row& a, const Row& b) { return a.input_ids.size() > b.input_ids.size(); });
  std::int64_t tokens = 0;
  std::size_t rows = 0;
  for (; rows < part.rows.size() && (rows == 0 || tokens < tokens_at_once); ++rows)
    tokens += static_cast<std::int64_t>(part.rows[rows].input_ids.size());
  part.rows.resize(rows);
  for (Row& row : part.rows) row.labels = row.input_ids;
  return part;
}

/// Runs on the model's meta device, which has seen nothing but the loading of the model and the adapter.
Forecast forecast_steps(const CausalLm& model, const Adapter* adapter, const TrainOptions& options, const Dataset& data,
                        const Dataset* eval) {
  options.check();
  if (data.rows.empty()) throw UsageError("forecast: expected at least one row, found none");
  Device& meta = *model.device();
  Forecast forecast;
  forecast.process = process_bytes(model, adapter ? adapter->modules.size() : 0, options.checkpoint_activations);
  forecast.trained = meta.memory().live();
  std::vector<Tensor> trained;
  for (const auto& [name, tensor] : adapter ? adapter->tensors() : model.trainable()) trained.push_back(tensor);
  AdamW optimizer(trained, {});
  std::vector<Row> batch = longest_batch(data, options);
  StepRows rows = step_of(batch, options);
  PassOptions passes{.rows_at_once = options.rows_at_once(), .checkpoint = options.checkpoint_activations};
  // Two steps: the moments are there from the first update on.
  for (int step = 0; step < 2; ++step) {
    accumulate_gradients(model, rows, passes);
    optimizer.step(options.lr);
    for (Tensor& tensor : trained) tensor.clear_grad();
  }
  if (eval && !eval->rows.empty()) {
    FrozenWhile frozen(trained);
    std::int64_t tokens = options.eval_tokens_at_once();
    evaluate(model, longest_evaluation(*eval, tokens), {.tokens_per_batch = tokens});
  }
  forecast.optimiser = optimizer.state_bytes();
  forecast.activations = meta.footprint() - forecast.trained - forecast.optimiser;
  forecast.profile = profile_memory(model, trained, rows, passes);
  return forecast;
}

}  // namespace

std::size_t Forecast::total() const {
  std::size_t running = trained + optimiser + activations;
  return process + (weights_are_released ? std::max(weights + trained, running) : weights + running);
}

Forecast forecast_training(const std::string& model_folder, LoadOptions load, const LoraConfig* lora,
                           const TrainOptions& options, const Dataset& data, const DevicePtr& like,
                           const Dataset* eval) {
  DevicePtr meta = meta_device(like);
  load.trainable = lora == nullptr;
  std::unique_ptr<CausalLm> model = load_model(model_folder, meta, load);
  Adapter adapter;
  if (lora) {
    LoraConfig config = *lora;
    if (config.target_modules.kind == TargetModules::Kind::names && config.target_modules.names.empty())
      config.target_modules = default_targets(model->config().model_type);
    adapter = make_adapter(meta, config, model->linear_shapes(), options.seed,
                           model->compute_dtype() == DType::f64 ? DType::f64 : DType::f32);
    model->attach(adapter);
  }
  Forecast forecast = forecast_steps(*model, lora ? &adapter : nullptr, options, data, eval);
  for (const StoredTensor& tensor : open_model_folder(model_folder).tensors) forecast.weights += tensor.byte_count;
  forecast.weights_are_released = load.trainable;
  return forecast;
}

Forecast forecast_pretraining(const std::string& config_json_file, const TrainOptions& options, const Dataset& data,
                              const DevicePtr& like, const Dataset* eval) {
  std::unique_ptr<CausalLm> model = new_model(config_json_file, meta_device(like), options.seed);
  return forecast_steps(*model, nullptr, options, data, eval);
}

}  // namespace loragrad
