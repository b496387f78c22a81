#include <fmt/format.h>

#include "app/demo/claims.h"
#include "app/demo/measure.h"
#include "app/terminal/console.h"

namespace loragrad {
namespace {

constexpr std::size_t rows_per_step = 32;
constexpr int rounds = 15;

/// LoRA's bytes against full fine-tuning's; holds when `factor` times as many are still fewer.
DemoClaim fewer_bytes(const char* id, const char* claim, std::size_t lora, std::size_t full, std::size_t factor) {
  return {id,
          claim,
          fmt::format("{}, full {}: {:.1f}x less", bytes_text(lora), bytes_text(full),
                      static_cast<double>(full) / static_cast<double>(lora)),
          lora * factor < full,
          {{"lora_bytes", lora}, {"full_bytes", full}}};
}

/// d r + r k summed over the adapted matrices, by their shapes.
std::int64_t counted_by_shape(const CausalLm& model, const LoraConfig& config) {
  std::int64_t sum = 0;
  for (const LinearShape& linear : match_targets(config.target_modules, model.linear_shapes()))
    sum += linear.out * config.r + config.r * linear.in;
  return sum;
}

}  // namespace

std::vector<DemoClaim> cost_claims(const DemoStage& stage, const DemoTaskData& data, int threads) {
  stage.progress.begin("measuring steps: memory and time");
  LoraConfig config = demo_lora(demo_rank);
  StepMeter lora(stage.base.folder, &config, threads), full(stage.base.folder, nullptr, threads);
  StepSeconds seconds = time_steps(lora, full, data.train, rows_per_step, rounds);

  std::vector<DemoClaim> claims;
  std::size_t all = full.trained_parameters(), trained = lora.trained_parameters();
  double share = static_cast<double>(trained) / static_cast<double>(all);
  auto text = [](std::size_t n) { return grouped(static_cast<std::int64_t>(n)); };
  claims.push_back({"trainable",
                    "trains under a tenth of the parameters",
                    fmt::format("{} of {}: {}", text(trained), text(all), percent(share)),
                    share < 0.1,
                    {{"trained", trained}, {"all", all}}});

  std::int64_t expected = counted_by_shape(*stage.model, config);
  LinearShape first = match_targets(config.target_modules, stage.model->linear_shapes()).front();
  claims.push_back({"count",
                    "d*r + r*k for each adapted matrix, no more",
                    fmt::format("{} x ({}*{} + {}*{}) = {}; found {}", lora.modules(), first.out, config.r, config.r,
                                first.in, grouped(expected), text(trained)),
                    std::cmp_equal(expected, trained),
                    {{"expected", expected}, {"found", trained}}});
  claims.push_back(
      fewer_bytes("gradients", "gradients: under a tenth of full's", lora.gradient_bytes(), full.gradient_bytes(), 10));
  claims.push_back(fewer_bytes("optimizer", "optimiser state: under a tenth of full's", lora.optimizer_bytes(),
                               full.optimizer_bytes(), 10));
  claims.push_back(fewer_bytes("memory", "a step's peak memory is lower", lora.peak_bytes(), full.peak_bytes(), 1));
  claims.push_back({"time",
                    "a step is faster",
                    fmt::format("{:.1f} ms, full {:.1f} ms: {:.2f}x as fast", 1e3 * seconds.lora, 1e3 * seconds.full,
                                seconds.full / seconds.lora),
                    seconds.lora < seconds.full,
                    {{"lora_seconds", seconds.lora}, {"full_seconds", seconds.full}}});
  return claims;
}

}  // namespace loragrad
