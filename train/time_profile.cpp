#include "train/time_profile.h"

#include <algorithm>
#include <chrono>

namespace loragrad {
namespace {

double now() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

}  // namespace

double TimeProfile::Report::outside(std::size_t phase) const {
  double rest = in_phase[phase];
  for (const Kernel& kernel : kernels) rest -= kernel.seconds[phase];
  return rest;
}

void TimeProfile::kernel_called(const KernelCall& call) {
  if (!phase_) return;
  Kernel& kernel = sums_.kernels[call.name];
  ++kernel.calls;
  kernel.seconds[static_cast<std::size_t>(*phase_)] += call.seconds;
  if (call.gemm) {
    const GemmArgs& g = *call.gemm;
    std::int64_t m = g.c.rows, n = g.c.cols, k = inner(g);
    Shape shape{g.transpose_a, g.transpose_b, g.transpose_a ? m : n, g.transpose_a ? n : k, g.a.dtype, g.b.dtype};
    add_product(shape, g.transpose_a ? k : m, call.seconds, 1);
  }
  if (call.head_loss) {  // logits, and the products of their gradient with the head and with x
    const HeadLossArgs& h = *call.head_loss;
    int products = 1 + (h.dx.rows > 0) + (h.dhead.rows > 0);
    add_product({false, true, h.head.rows, h.head.cols, h.x.dtype, h.head.dtype}, h.count, call.seconds, products);
  }
}

void TimeProfile::add_product(const Shape& shape, std::int64_t tokens, double seconds, int products) {
  Work& work = sums_.products[shape];
  work.fewest = work.calls ? std::min(work.fewest, tokens) : tokens;
  work.most = std::max(work.most, tokens);
  ++work.calls;
  work.tokens += static_cast<double>(tokens);
  work.seconds += seconds;
  work.flops += 2.0 * products * static_cast<double>(tokens) * static_cast<double>(shape.first * shape.second);
}

void TimeProfile::phase_ends() {
  if (phase_) sums_.in_phase[static_cast<std::size_t>(*phase_)] += now() - phase_began_;
  phase_.reset();
}

void TimeProfile::phase_begins(StepPhase phase) {
  phase_ends();
  phase_ = phase;
  phase_began_ = now();
}

void TimeProfile::step_ends(const StepReport& step) {
  phase_ends();
  if (!step.updated) return;
  sums_.seconds += step.seconds;
  last_step_ = step.step;
  if (++steps_ <= 2) first_step_ = step.step;
  if (steps_ > 1) return;
  first_ = std::move(sums_);
  sums_ = {};
}

TimeProfile::Report TimeProfile::report() const {
  const Sums& sums = steps_ > 1 ? sums_ : first_;
  Report report;
  report.first_step = first_step_;
  report.last_step = last_step_;
  report.steps = steps_ > 1 ? steps_ - 1 : steps_;
  auto steps = static_cast<double>(std::max<std::int64_t>(1, report.steps));
  report.seconds = sums.seconds / steps;
  for (std::size_t p = 0; p < phases; ++p) report.in_phase[p] = sums.in_phase[p] / steps;
  for (const auto& [name, sum] : sums.kernels) {
    Kernel kernel = sum;
    kernel.name = name;
    kernel.calls /= steps;
    for (double& seconds : kernel.seconds) seconds /= steps;
    report.kernels.push_back(kernel);
  }
  for (const auto& [shape, work] : sums.products) {
    Product product{.transpose_a = shape.transpose_a, .transpose_b = shape.transpose_b, .a = shape.a, .b = shape.b};
    double tokens = work.tokens / static_cast<double>(work.calls);
    auto first = static_cast<double>(shape.first), second = static_cast<double>(shape.second);
    product.m = shape.transpose_a ? first : tokens;
    product.n = shape.transpose_a ? second : first;
    product.k = shape.transpose_a ? tokens : second;
    product.ragged = work.fewest != work.most;
    product.calls = static_cast<double>(work.calls) / steps;
    product.seconds = work.seconds / steps;
    product.flops = work.flops / steps;
    report.products.push_back(product);
  }
  std::sort(report.kernels.begin(), report.kernels.end(),
            [](const Kernel& a, const Kernel& b) { return a.total() > b.total(); });
  std::sort(report.products.begin(), report.products.end(),
            [](const Product& a, const Product& b) { return a.seconds > b.seconds; });
  return report;
}

}  // namespace loragrad
