#include "train/forecast.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <set>
#include <utility>

#include "data/row_stream.h"
#include "engine/error.h"
#include "io/safetensors.h"
#include "models/trained_parameters.h"
#include "models/trained_rows.h"
#include "ops/meta_device.h"
#include "optim/adamw.h"
#include "optim/clip.h"
#include "train/evaluate.h"
#include "train/process_memory.h"
#include "train/progress.h"
#include "train/step.h"

namespace loragrad {
namespace {

std::int64_t longest_dimension(const CausalLm& model) {
  std::int64_t longest = 0;
  for (const LinearShape& linear : model.linear_shapes()) longest = std::max({longest, linear.in, linear.out});
  return longest;
}

std::int64_t tokens_of(const StepRows& rows) {
  std::int64_t tokens = 0;
  for (const Row* row : rows) tokens += static_cast<std::int64_t>(row->input_ids.size());
  return tokens;
}

struct Batches {
  StepRows heaviest;
  std::size_t shapes = 0;  // by their numbers of tokens
};

/// The micro-batch with the most tokens: the order of the rows is known before the run.
Batches batches_of_run(const Dataset& data, const TrainOptions& options) {
  auto step = static_cast<std::size_t>(options.rows_per_step());
  RowStream stream = row_stream(options, data.rows.size());
  StepRows heaviest;
  std::set<std::int64_t> shapes;
  std::int64_t most = -1, steps = options.total_steps(static_cast<std::int64_t>(data.rows.size()));
  for (std::int64_t t = 0; t < steps; ++t) {
    StepRows rows;
    for (std::size_t i : stream.next(step)) rows.push_back(&data.rows[i]);
    auto begin = rows.begin();
    for (std::size_t at : micro_batches(rows, options.rows_at_once(), options.max_tokens_per_batch)) {
      auto end = rows.begin() + static_cast<std::ptrdiff_t>(at);
      StepRows batch(std::exchange(begin, end), end);
      std::int64_t tokens = tokens_of(batch);
      shapes.insert(tokens);
      if (tokens > most) {
        most = tokens;
        heaviest = std::move(batch);
      }
    }
  }
  return {heaviest, shapes.size()};
}

/// The longest rows that there are, together; within a limit of tokens as near to it as they come.
Batches longest_batch(const Dataset& data, std::size_t size, std::int64_t most_tokens) {
  StepRows rows;
  for (const Row& row : data.rows) rows.push_back(&row);
  auto longer = [](const Row* a, const Row* b) { return a->input_ids.size() > b->input_ids.size(); };
  std::stable_sort(rows.begin(), rows.end(), longer);
  StepRows batch;
  std::int64_t tokens = 0;
  for (std::size_t i = 0; i < size; ++i) {
    const Row* row = rows[i % rows.size()];
    auto own = static_cast<std::int64_t>(row->input_ids.size());
    if (!batch.empty() && most_tokens > 0 && tokens + own > most_tokens) continue;
    batch.push_back(row);
    tokens += own;
  }
  bool equal = rows.front()->input_ids.size() == rows.back()->input_ids.size();
  return {batch, equal ? 1 : data.rows.size()};
}

// A run of more rows is not followed row by row: sooner or later the longest meet.
constexpr std::int64_t followed_rows = 200'000;

Batches batches_to_forecast(const Dataset& data, const TrainOptions& options) {
  auto rows = static_cast<std::int64_t>(data.rows.size());
  std::int64_t of_run = options.steps ? *options.steps * options.rows_per_step() : options.epochs * rows;
  if (of_run <= followed_rows) return batches_of_run(data, options);
  return longest_batch(data, static_cast<std::size_t>(std::min(of_run, options.rows_at_once())),
                       options.max_tokens_per_batch);
}

/// The batch with a loss on every token: another with as many may have more labels than this one.
std::vector<Row> with_labels(const StepRows& rows) {
  std::vector<Row> batch;
  for (const Row* row : rows) {
    batch.push_back(*row);
    batch.back().labels = row->input_ids;
  }
  return batch;
}

/// The batch as a step, twice where gradients are kept from one micro-batch to the next.
StepRows step_of(const std::vector<Row>& batch, const TrainOptions& options) {
  StepRows step;
  bool by_tokens = options.max_tokens_per_batch > 0;
  auto size = static_cast<std::int64_t>(batch.size());
  for (int i = 0; i < (options.rows_per_step() > (by_tokens ? size : options.rows_at_once()) ? 2 : 1); ++i)
    for (const Row& row : batch) step.push_back(&row);
  return step;
}

/// Runs on the model's meta device, which has seen nothing but the loading of the model and the adapter.
Forecast forecast_steps(const CausalLm& model, const Adapter* adapter, const TrainOptions& options, const Dataset& data,
                        const Dataset* eval, const std::vector<WeightedAdapter>& eval_adapters) {
  options.check();
  if (data.rows.empty()) throw UsageError("forecast: expected at least one row, found none");
  Device& meta = *model.device();
  Batches batches = batches_to_forecast(data, options);
  Forecast forecast = forecast_before(model, batches.shapes);
  forecast.trained = meta.memory().live();
  std::vector<Tensor> trained;
  for (const auto& [name, tensor] : adapter ? adapter->tensors() : model.trainable()) trained.push_back(tensor);
  AdamW optimizer(trained, {});
  std::vector<Row> batch = with_labels(batches.heaviest);
  StepRows rows = step_of(batch, options);
  PassOptions passes{.rows_at_once = options.max_tokens_per_batch > 0 ? static_cast<std::int64_t>(batch.size())
                                                                      : options.rows_at_once(),
                     .recompute = options.checkpoint_activations,
                     .adapters = adapter ? model.activate(*adapter) : ActiveAdapters()};
  // Two steps: the moments are there from the first update on.
  for (int step = 0; step < 2; ++step) {
    accumulate_gradients(model, rows, passes);
    clip_gradients(trained, 1, Tensor::empty(model.device(), {1, 2}, DType::f64));
    optimizer.step(options.lr);
    for (Tensor& tensor : trained) tensor.clear_grad();
  }
  if (eval && !eval->rows.empty()) {
    EvalOptions evaluation{.tokens_per_batch = options.eval_tokens_at_once(),
                           .adapters = adapters_in_evaluation(model, adapter, eval_adapters)};
    evaluate(model, heaviest_part(*eval, evaluation), evaluation);
  }
  forecast.optimiser = optimizer.state_bytes();
  if (options.copies_state) {
    forecast.checkpoint = forecast.optimiser;
    for (const Tensor& tensor : trained) forecast.checkpoint += tensor.bytes();
    // As others read it, too; of a start that changes the base it has both factors twice.
    if (adapter) forecast.checkpoint += adapter->bytes() * (changes_base(adapter->config.init_lora_weights) ? 2 : 1);
    if (forecast.own_memory) forecast.process += forecast.checkpoint;
  }
  forecast.activations = meta.footprint() - forecast.trained - forecast.optimiser;
  forecast.profile = profile_memory(model, trained, rows, passes);
  return forecast;
}

}  // namespace

Forecast forecast_before(const CausalLm& outline, std::size_t batch_shapes) {
  const Device& device = *outline.device();
  std::size_t run = device.run_bytes(
      {.batch_shapes = batch_shapes, .longest = longest_dimension(outline), .products = outline.compute_dtype()});
  Forecast forecast;
  forecast.own_memory = !device.shares_host_memory();
  forecast.process = forecast.held = resident_bytes();
  (forecast.own_memory ? forecast.workspace : forecast.process) += run;
  return forecast;
}

std::size_t Forecast::total() const {
  std::size_t running = trained + optimiser + activations;
  if (own_memory) return weights + running + workspace;
  running += checkpoint;
  return process + (weights_are_released ? std::max(weights + trained, running) : weights + running);
}

std::size_t Forecast::still_to_come() const { return process - held + trained + optimiser + activations + checkpoint; }

std::size_t available_on(const Device& device) {
  std::size_t tensors = device.capacity();
  return tensors + std::min(device.run_bytes({}), std::numeric_limits<std::size_t>::max() - tensors);
}

std::string memory_lack(const Forecast& forecast, std::size_t available) {
  if (forecast.total() <= available) return "";
  return fmt::format("memory: {} of the device's may be taken, and {} will be needed", bytes_text(available),
                     bytes_text(forecast.total()));
}

Forecast forecast_training(const std::string& model_folder, LoadOptions load, const LoraConfig* lora,
                           const TrainOptions& options, const Dataset& data, const DevicePtr& like, const Dataset* eval,
                           const AdapterOutlines& eval_adapters) {
  DevicePtr meta = meta_device(like);
  load.trainable = lora == nullptr;
  std::unique_ptr<CausalLm> model = load_model(model_folder, meta, load);
  std::size_t placed = lora && !meta->shares_host_memory() ? meta->memory().live() : 0;
  Adapter adapter;
  if (lora) {
    LoraConfig config = *lora;
    if (config.target_modules.kind == TargetModules::Kind::names && config.target_modules.names.empty())
      config.target_modules = default_targets(model->config().model_type);
    adapter =
        make_adapter(meta, config, model->adaptable_shapes(), options.seed, accumulation_type(model->compute_dtype()));
    adapter.parameters_of_base = parameters_to_train(*model, config, adapter.modules);
    adapter.rows_of_base = rows_to_train(*model, config, adapter.modules);
    put_parameters(*model, adapter);
  }
  Forecast forecast = forecast_steps(*model, lora ? &adapter : nullptr, options, data, eval,
                                     eval_adapters ? eval_adapters(*model) : std::vector<WeightedAdapter>());
  if (forecast.own_memory) {
    forecast.weights = placed;
    forecast.trained -= placed;
    return forecast;
  }
  for (const StoredTensor& tensor : open_model_folder(model_folder).tensors) forecast.weights += tensor.byte_count;
  forecast.weights_are_released = load.trainable;
  return forecast;
}

Forecast forecast_pretraining(const std::string& config_json_file, const TrainOptions& options, const Dataset& data,
                              const DevicePtr& like, const Dataset* eval) {
  std::unique_ptr<CausalLm> model = new_model(config_json_file, meta_device(like), options.seed);
  return forecast_steps(*model, nullptr, options, data, eval, {});
}

}  // namespace loragrad
