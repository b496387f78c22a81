#include "train/forecast.h"

#include <algorithm>

#include "engine/error.h"
#include "io/safetensors.h"
#include "ops/meta_device.h"
#include "optim/adamw.h"
#include "train/process_memory.h"
#include "train/step.h"

namespace loragrad {
namespace {

// Measured: what a run holds beyond its tensors, mapped files and what was there before it (generated code of the GEMM
// library, its caches, thread stacks, the allocator's slack).
constexpr std::size_t runtime_bytes = 8 << 20;

/// The longest rows that may meet in one micro-batch; the same again where gradients are kept from one micro-batch to
/// the next.
StepRows longest_step(const Dataset& data, const TrainOptions& options) {
  StepRows rows;
  for (const Row& row : data.rows) rows.push_back(&row);
  auto longer = [](const Row* a, const Row* b) { return a->input_ids.size() > b->input_ids.size(); };
  std::stable_sort(rows.begin(), rows.end(), longer);
  // Fewer rows than a batch has: they come again, as often as there are epochs.
  auto size = static_cast<std::size_t>(options.batch_size);
  if (!options.steps) size = std::min(size, rows.size() * static_cast<std::size_t>(options.epochs));
  StepRows batch;
  for (std::size_t i = 0; i < size; ++i) batch.push_back(rows[i % rows.size()]);
  StepRows step = batch;
  if (options.grad_accum > 1) step.insert(step.end(), batch.begin(), batch.end());
  return step;
}

}  // namespace

std::size_t Forecast::total() const {
  std::size_t running = trained + optimiser + activations;
  return process + (weights_are_released ? std::max(weights + trained, running) : weights + running);
}

Forecast forecast_training(const std::string& model_folder, LoadOptions load, const LoraConfig* lora,
                           const TrainOptions& options, const Dataset& data, const DevicePtr& like) {
  options.check();
  if (data.rows.empty()) throw UsageError("forecast: expected at least one row, found none");
  Forecast forecast;
  forecast.process = resident_bytes() + runtime_bytes;
  for (const StoredTensor& tensor : open_model_folder(model_folder).tensors) forecast.weights += tensor.byte_count;

  DevicePtr meta = meta_device(like);
  load.trainable = lora == nullptr;
  forecast.weights_are_released = load.trainable;
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
  std::vector<Tensor> trained;
  for (const auto& [name, tensor] : lora ? adapter.tensors() : model->trainable()) trained.push_back(tensor);
  forecast.trained = meta->memory().live();

  AdamW optimizer(trained, {});
  StepRows rows = longest_step(data, options);
  // Two steps: the moments are there from the first update on.
  for (int step = 0; step < 2; ++step) {
    accumulate_gradients(*model, rows, options.batch_size, 0);
    optimizer.step(options.lr);
    for (Tensor& tensor : trained) tensor.clear_grad();
  }
  forecast.optimiser = optimizer.state_bytes();
  forecast.activations = meta->memory().peak() - forecast.trained - forecast.optimiser;
  forecast.profile = profile_memory(*model, trained, rows, options.batch_size);
  return forecast;
}

}  // namespace loragrad
