#include "app/demo/progress.h"

#include <unistd.h>

#include <algorithm>

#include "app/console.h"
#include "app/interrupt.h"

namespace loragrad {

TrainResult demo_train(const std::string& heading, const CausalLm& model, const Adapter* adapter, const Dataset& data,
                       const TrainOptions& options, const std::function<void(std::int64_t step)>& after_step) {
  note(heading);
  Progress progress;
  progress.total_steps = options.total_steps(static_cast<std::int64_t>(data.rows.size()));
  std::int64_t every = isatty(STDERR_FILENO) ? 1 : std::max<std::int64_t>(1, progress.total_steps / 10);
  TrainObserver observer;
  observer.on_step = [&](const StepReport& report) {
    progress.step_ends(report);
    if (report.step % every == 0 || report.step == progress.total_steps) show_progress(progress);
    if (after_step) after_step(report.step);
  };
  observer.stop = [] { return interrupted_by() != 0; };
  TrainResult result = train(model, adapter, data, options, nullptr, observer);
  end_progress_line();
  stop_if_interrupted();
  return result;
}

}  // namespace loragrad
