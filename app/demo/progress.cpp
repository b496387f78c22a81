#include "app/demo/progress.h"

#include <fmt/format.h>
#include <unistd.h>

#include "app/terminal/console.h"
#include "app/terminal/interrupt.h"

namespace loragrad {

void DemoProgress::show(const std::string& more) {
  show_progress(static_cast<double>(done_) / static_cast<double>(total_),
                fmt::format("{}/{} steps  {}  {}{}", done_, total_, duration_text(watch_.seconds()), what_, more));
}

void DemoProgress::begin(const std::string& what) {
  what_ = what;
  if (isatty(STDERR_FILENO)) show("");
}

TrainResult DemoProgress::train(const CausalLm& model, const Adapter* adapter, const Dataset& data,
                                const TrainOptions& options) {
  constexpr std::int64_t lines = 10;  // where no line can be redrawn
  TrainObserver observer;
  observer.on_step = [&](const StepReport& report) {
    ++done_;
    if (isatty(STDERR_FILENO) || done_ * lines / total_ > (done_ - 1) * lines / total_)
      show(fmt::format(", loss {:.3f}", report.loss));
  };
  observer.stop = [] { return interrupted_by() != 0; };
  TrainResult result = loragrad::train(model, adapter, data, options, nullptr, observer);
  stop_if_interrupted();
  return result;
}

}  // namespace loragrad
