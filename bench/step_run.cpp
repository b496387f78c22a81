#include "bench/step_run.h"

#include "bench/peaks.h"
#include "bench/random_rows.h"
#include "bench/timing.h"
#include "engine/error.h"
#include "lora/adapter.h"
#include "ops/cpu/cpu_device.h"
#include "ops/cpu/processor.h"
#include "ops/timed_device.h"

namespace loragrad::bench {

void StepLimits::measure(const Products& products, Device& device) {
  cpu::ThreadPool& threads = cpu::threads_of(device);
  tiles.push_back(seconds([&] { products.run(device); }));
  if (products.library_takes()) library.push_back(seconds([&] { products.run_by_library(device); }));
  fma.push_back(fma_rate(threads));
  if (auto dot = bf16_dot_rate(threads)) bf16_dot.push_back(*dot);
}

StepRun::StepRun(const StepOptions& options)
    : options_(options),
      device_(cpu_device(options.threads)),
      products_(options.full ? 0 : step_rank),
      model_(load_model(options.model, timed_device(device_, [this](const KernelCall& call) { kernel_called(call); }),
                        {.precision = options.bf16 ? Precision::bf16 : Precision::f32, .trainable = options.full})),
      data_(random_rows(row_lengths(options.rows, options.shortest, options.longest), model_->config().vocab_size)) {}

void StepRun::run() {
  std::optional<Adapter> adapter;
  if (!options_.full) {
    LoraConfig config{.r = step_rank,
                      .lora_alpha = 2 * step_rank,
                      .target_modules = options_.all_linear ? TargetModules::parse("all-linear")
                                                            : default_targets(model_->config().model_type),
                      .lora_dropout = 0.05};
    adapter = make_adapter(model_->device(), config, model_->linear_shapes(), /*seed=*/0);
  }
  train(*model_, adapter ? &*adapter : nullptr, data_,
        {.batch_size = options_.rows, .steps = options_.steps + 1, .shuffle = false}, nullptr,
        {.on_step = [this](const StepReport& report) { step_ends(report); },
         .on_phase = [this](StepPhase phase) { times_.phase_begins(phase); }});
}

void StepRun::kernel_called(const KernelCall& call) {
  times_.kernel_called(call);
  if (!recording_) return;
  if (call.gemm) products_.record(*call.gemm);
  if (call.head_loss) products_.record(*call.head_loss);
}

void StepRun::step_ends(const StepReport& report) {
  times_.step_ends(report);
  recording_ = false;
  if (report.step == 1) return;
  if (report.step == 2) {
    peak_bytes_ = report.peak_bytes;  // before the operands of the products alone take memory
    products_.give_operands(device_);
    if (products_.empty())
      throw UsageError("step: expected a model wider than the adapter's rank, " + std::to_string(step_rank));
    StepLimits().measure(products_, *device_);  // warms up
  }
  limits_.measure(products_, *device_);
}

double StepRun::multiplied_parameters() const {
  const ModelConfig& config = model_->config();
  std::int64_t width = config.word_embed_proj_dim > 0 ? config.word_embed_proj_dim : config.hidden_size;
  auto count = static_cast<double>(config.vocab_size * width);
  for (const LinearShape& s : model_->linear_shapes()) count += static_cast<double>(s.in * s.out);
  return count;
}

}  // namespace loragrad::bench
