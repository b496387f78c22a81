#include "app/demo/measure.h"

#include <algorithm>
#include <cmath>

#include "app/demo/progress.h"
#include "app/terminal/interrupt.h"
#include "models/generate/generate.h"
#include "ops/cpu/cpu_device.h"
#include "optim/clip.h"
#include "train/step.h"

namespace loragrad {
namespace {

StepRows rows_from(const Dataset& set, std::size_t begin, std::size_t count) {
  StepRows rows;
  for (std::size_t i = begin; i < std::min(set.rows.size(), begin + count); ++i) rows.push_back(&set.rows[i]);
  return rows;
}

std::vector<Tensor> tensors_of(const CausalLm& model, const Adapter& adapter) {
  std::vector<Tensor> tensors;
  for (const auto& [name, tensor] : adapter.modules.empty() ? model.trainable() : adapter.tensors())
    tensors.push_back(tensor);
  return tensors;
}

/// The work of generating the row's tokens one by one, whatever the model would have chosen.
void decode(const CausalLm& model, const ActiveAdapters& adapters, const Row& row) {
  KeyValueCache cache = model.make_cache(static_cast<std::int64_t>(row.input_ids.size()));
  for (const TokenId& id : row.input_ids) {
    BatchRow one{.ids = {&id, 1}, .labels = {}};
    Batch batch =
        make_batch(model.device(), {one}, model.config().vocab_size, model.config().max_position_embeddings, &cache);
    model.logits({.batch = batch, .adapters = adapters, .record = false, .cache = &cache});
  }
}

Tensor logits_of(const CausalLm& model, const ActiveAdapters& adapters, const StepRows& rows) {
  return model.logits({.batch = batch_of(model, rows, 0, rows.size()), .adapters = adapters, .record = false});
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

}  // namespace

double exact_share(const CausalLm& model, const ActiveAdapters& adapters, const Dataset& set) {
  constexpr std::size_t rows_at_once = 32;
  std::size_t right = 0;
  for (std::size_t begin = 0; begin < set.rows.size(); begin += rows_at_once) {
    StepRows rows = rows_from(set, begin, rows_at_once);
    Tensor logits = logits_of(model, adapters, rows);
    std::vector<float> values = logits.values<float>();
    auto vocab = static_cast<std::size_t>(logits.cols());
    std::size_t token = 0;  // of the batch
    for (const Row* row : rows) {
      bool all = true;
      for (std::size_t t = 0; t < row->labels.size(); ++t, ++token) {
        if (t + 1 == row->labels.size() || row->labels[t + 1] < 0) continue;
        auto line = values.begin() + static_cast<std::ptrdiff_t>(token * vocab);
        all = all && std::max_element(line, line + static_cast<std::ptrdiff_t>(vocab)) - line == row->labels[t + 1];
      }
      right += all;
    }
    stop_if_interrupted();
  }
  return static_cast<double>(right) / static_cast<double>(set.rows.size());
}

std::vector<float> sample_logits(const CausalLm& model, const ActiveAdapters& adapters, const Dataset& set) {
  return logits_of(model, adapters, rows_from(set, 0, 8)).values<float>();
}

double largest_difference(const std::vector<float>& a, const std::vector<float>& b) {
  double largest = 0;
  for (std::size_t i = 0; i < a.size(); ++i) largest = std::max(largest, std::fabs(double{a[i]} - double{b[i]}));
  return largest;
}

std::string continuation(const CausalLm& model, const ActiveAdapters& adapters, const Tokenizer& tokenizer,
                         const std::string& prompt, std::int64_t most) {
  return tokenizer.decode(generate(model, adapters, tokenizer.encode(prompt), {.max_tokens = most}));
}

StepMeter::StepMeter(const std::string& base_folder, const LoraConfig* lora, int threads)
    : device_(cpu_device(threads)),
      model_(load_model(base_folder, device_, {.trainable = lora == nullptr})),
      adapter_(lora ? make_adapter(device_, *lora, model_->linear_shapes(), 0) : Adapter()),
      trained_(tensors_of(*model_, adapter_)),
      optimizer_(trained_, {}) {
  device_->memory().reset_peak();
}

double StepMeter::step(const std::vector<const Row*>& rows) {
  Stopwatch watch;
  accumulate_gradients(
      *model_, rows, {.rows_at_once = static_cast<std::int64_t>(rows.size()), .adapters = model_->activate(adapter_)});
  gradient_bytes_ = 0;
  for (const Tensor& tensor : trained_) gradient_bytes_ += tensor.grad().bytes();
  Tensor norm = Tensor::empty(device_, {1, 2}, DType::f64);
  clip_gradients(trained_, 1, norm);
  optimizer_.step(1e-4, norm.cols(1, 1));
  for (Tensor& tensor : trained_) tensor.clear_grad();
  return watch.seconds();
}

std::size_t StepMeter::trained_parameters() const {
  std::int64_t count = 0;
  for (const Tensor& tensor : trained_) count += tensor.numel();
  return static_cast<std::size_t>(count);
}

std::size_t StepMeter::peak_bytes() const {
  // The device counts what it allocated; a frozen base is the mapped file, which it did not.
  return device_->memory().peak() + (adapter_.modules.empty() ? 0 : model_->parameter_bytes());
}

StepSeconds time_steps(StepMeter& lora, StepMeter& full, const Dataset& set, std::size_t rows_per_step, int rounds) {
  StepRows rows = rows_from(set, 0, rows_per_step);
  lora.step(rows);  // the first step of each makes its kernels and moments
  full.step(rows);
  std::vector<double> of_lora, of_full;
  for (int i = 0; i < rounds; ++i) {
    of_lora.push_back(lora.step(rows));
    of_full.push_back(full.step(rows));
    stop_if_interrupted();
  }
  return {median(of_lora), median(of_full)};
}

DecodingTimes time_decoding(const std::vector<DemoModel>& models, const Row& row, int rounds) {
  std::vector<std::vector<double>> seconds(models.size()), ratios(models.size());
  for (int round = 0; round < rounds; ++round) {
    for (std::size_t m = 0; m < models.size(); ++m) {
      Stopwatch watch;
      decode(*models[m].base, models[m].adapters, row);
      seconds[m].push_back(watch.seconds());
      ratios[m].push_back(seconds[m].back() / seconds[0].back());
    }
    stop_if_interrupted();
  }
  DecodingTimes times;
  for (std::size_t m = 0; m < models.size(); ++m) {
    times.seconds.push_back(median(seconds[m]));
    times.against_first.push_back(median(ratios[m]));
  }
  return times;
}

}  // namespace loragrad
