#include "bench/step_times.h"

#include <chrono>

#include "bench/timing.h"

namespace loragrad::bench {
namespace {

double now() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

}  // namespace

void StepTimes::kernel_called(const KernelCall& call) {
  if (call.head_loss) now_.head += call.seconds;
}

void StepTimes::phase_ends() {
  if (!phase_) return;
  double end = now(), took = end - phase_began_;
  if (phase_ == StepPhase::forward) now_.forward = took - now_.head;
  if (phase_ == StepPhase::backward) now_.backward = took;
  if (phase_ == StepPhase::update) now_.update = took;
  phase_.reset();
}

void StepTimes::phase_begins(StepPhase phase) {
  phase_ends();
  phase_ = phase;
  phase_began_ = now();
}

void StepTimes::step_ends(const StepReport& report) {
  phase_ends();
  now_.step = report.seconds;
  steps_.push_back(now_);
  now_ = {};
}

StepTimes::Parts StepTimes::median() const {
  auto of = [&](double Parts::*part) {
    std::vector<double> values;
    for (std::size_t i = 1; i < steps_.size(); ++i) values.push_back(steps_[i].*part);
    return bench::median(values);
  };
  return {of(&Parts::step), of(&Parts::forward), of(&Parts::head), of(&Parts::backward), of(&Parts::update)};
}

}  // namespace loragrad::bench
