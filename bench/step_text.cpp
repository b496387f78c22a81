#include "bench/step_text.h"

#include <fmt/format.h>

#include <algorithm>

#include "bench/timing.h"
#include "ops/cpu/cpu_device.h"

namespace loragrad::bench {
namespace {

std::string setting_text(const StepRun& run) {
  const StepOptions& o = run.options();
  std::string length = std::to_string(o.shortest);
  if (o.longest != o.shortest) length += fmt::format(" to {}", o.longest);
  std::string trained =
      fmt::format("LoRA, r = {}, on {}", step_rank, o.all_linear ? "all linear maps" : "the family's default targets");
  return fmt::format(
      "{}: {:.1f} million parameters in products\n{} rows of {}, {} tokens; {}; {}\n{} threads, products by {}, {} "
      "kernels\n",
      o.model, run.multiplied_parameters() / 1e6, o.rows, length, run.tokens(), o.bf16 ? "bf16" : "f32",
      o.full ? "all parameters are trained" : trained, run.threads(), gemm_library(), kernel_set());
}

std::string parts_text(const StepRun& run, const StepTimes::Parts& median) {
  std::vector<double> steps;
  for (std::size_t i = 1; i < run.times().steps().size(); ++i) steps.push_back(run.times().steps()[i].step);
  auto [fastest, slowest] = std::minmax_element(steps.begin(), steps.end());
  auto line = [](const char* name, double time, const std::string& words) {
    return fmt::format("{:<18} {:8.3f} s{}{}\n", name, time, words.empty() ? "" : "  ", words);
  };
  return line("step, median", median.step,
              fmt::format("({:.3f} to {:.3f}), {:.0f} tokens/s, peak memory {:.0f} MiB", *fastest, *slowest,
                          static_cast<double>(run.tokens()) / median.step,
                          static_cast<double>(run.peak_bytes()) / (1 << 20))) +
         line("  layers forward", median.forward, "") +
         line("  head", median.head, "logits, loss, and what the layers get of their gradients") +
         line("  layers backward", median.backward, fmt::format("{:.2f} x forward", median.backward / median.forward)) +
         line("  update", median.update, "");
}

std::string products_text(const StepRun& run, double step) {
  const StepLimits& limits = run.limits();
  double fma = median(limits.fma), peak = fma, tiles = median(limits.tiles);
  if (run.options().bf16 && !limits.bf16_dot.empty()) peak = median(limits.bf16_dot);
  int factor = run.options().full ? 6 : 4;
  double model = factor * run.multiplied_parameters() * static_cast<double>(run.tokens());
  double exact = run.products().model_flops(), adapter = run.products().adapter_flops();
  auto line = [&](const std::string& name, double flops, double time) {
    return fmt::format("{:<38} {:#9.4g} {:9.3f} {:9.1f} {:8.0f} %\n", name, flops / 1e9, time, flops / time / 1e9,
                       100 * flops / time / peak);
  };
  auto peak_line = [&](const char* name, double rate) {
    return fmt::format("{:<38} {:29.1f} {:8.0f} %\n", name, rate / 1e9, 100 * rate / peak);
  };
  std::string text = fmt::format("{:<38} {:>9} {:>9} {:>9} {:>10}\n", "", "GFLOP", "s", "GFLOP/s", "of peak");
  text += line(fmt::format("step, as {} x parameters x tokens", factor), model, step);
  text += line("step, the products it computes", exact, step);
  text += line("these alone, the engine's tiles", exact, tiles);
  text += limits.library.empty() ? "these alone, the library's threads     not in this type\n"
                                 : line("these alone, the library's threads", exact, median(limits.library));
  text += peak_line("f32 multiply-adds between registers", fma);
  if (!limits.bf16_dot.empty()) text += peak_line("bf16 dot products between registers", median(limits.bf16_dot));
  if (adapter > 0) text += fmt::format("The adapter's products are {:.1f} GFLOP more.\n", adapter / 1e9);
  text +=
      fmt::format("\nmodel FLOP utilisation {:3.0f} %  the step's {} x parameters x tokens, of the tiles' GFLOP/s\n",
                  100 * model / step / (exact / tiles), factor);
  text += fmt::format("products alone         {:3.0f} %  of the step's time\n", 100 * tiles / step);
  return text;
}

}  // namespace

std::string step_text(const StepRun& run) {
  StepTimes::Parts median = run.times().median();
  return setting_text(run) + "\n" + parts_text(run, median) + "\n" + products_text(run, median.step);
}

}  // namespace loragrad::bench
