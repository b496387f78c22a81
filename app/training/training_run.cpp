#include "app/training/training_run.h"

#include <fmt/format.h>

#include <utility>

#include "app/terminal/console.h"
#include "app/terminal/interrupt.h"
#include "app/training/learnable.h"
#include "app/training/saver.h"
#include "engine/error.h"
#include "io/atomic.h"
#include "train/metrics.h"
#include "train/progress.h"

namespace loragrad {
namespace {

/// The run's metrics. Nobody's training is given up for them: what cannot be written is warned of once.
class Metrics {
 public:
  /// Rows up to the step `after` stay.
  void open(const std::string& path, std::int64_t after) {
    guarded([&] { writer_.emplace(path, after); });
  }
  void write(const StepReport& report) {
    guarded([&] {
      if (writer_) writer_->write(report);
    });
  }
  void close() {
    guarded([&] {
      if (writer_) writer_->close();
    });
  }

 private:
  void guarded(const std::function<void()>& action) {
    try {
      action();
    } catch (const IoError& error) {
      writer_.reset();
      warn(std::string(error.what()) + "; the metrics end here, and the run goes on");
    }
  }
  std::optional<MetricsWriter> writer_;
};

}  // namespace

TrainingOutcome run_training(const CausalLm& model, const Adapter* adapter, const TrainingData& data,
                             const TrainingFlags& flags, const TrainingRun& run) {
  const TrainState* from = run.from ? &run.from->state : nullptr;
  std::int64_t before = from ? from->result.steps : 0;
  std::string metrics_path = flags.metrics ? *flags.metrics : run.output.file(metrics_file);
  Metrics metrics;
  Progress progress;
  progress.total_steps = flags.options.total_steps(static_cast<std::int64_t>(data.train.rows.size()), from);
  Samples samples(model, adapter, run.tokenizer, data.samples);
  Saver saver(flags.save, run.output.checkpoints(), adapter, run.record, metrics_path);
  // Where an earlier part of the run kept one it is kept up.
  bool keeps_best = adapter && (flags.options.eval_every > 0 || (from && run.output.has_best(from->result.best)));
  bool begun = false;
  // Of a run that fails before its first step nothing is to be seen.
  auto begin = [&] {
    if (std::exchange(begun, true)) return;
    run.output.begin(from != nullptr);
    if (from) run.output.keep_best(from->result.best);
    metrics.open(metrics_path, before);
    try {
      write_file(run.output.file(run_file), run.config);
    } catch (const IoError& error) {
      warn(std::string(error.what()) + "; the run goes on without it");
    }
  };
  TrainObserver observer;
  if (run.times) observer.on_phase = [times = run.times](StepPhase phase) { times->phase_begins(phase); };
  observer.on_step = [&](const StepReport& report) {
    begin();
    if (run.times) run.times->step_ends(report);
    metrics.write(report);
    progress.step_ends(report);
    show_progress(progress.share(), progress_text(progress));
  };
  observer.on_eval = [&](std::int64_t step, const EvalReport& report) {
    note(fmt::format("evaluation after step {}: loss {:.4f}, perplexity {:.3f}", step, report.loss, report.perplexity));
    // What has been trained is not given up for it.
    if (!report.not_finite.empty()) warn(report.not_finite);
    samples.write(step);
  };
  observer.on_best = [&](const TrainResult::Best& best) {
    if (!keeps_best) return;
    begin();
    try {
      run.output.save_best(*adapter, best);
    } catch (const NumericError&) {
      throw;
    } catch (const std::exception& error) {
      warn(fmt::format("{}; {}the run goes on", error.what(),
                       run.output.has_best(best) ? "" : "the best adapter is not kept, and "));
    }
  };
  observer.after_step = [&](const TrainPoint& point) { saver.after_step(point); };
  observer.stop = [] { return interrupted_by() != 0; };
  TrainResult result = train(model, adapter, data.train, run.options, data.eval ? &*data.eval : nullptr, observer,
                             data.eval_adapters, from);
  begin();
  end_progress_line();
  warn_if_nothing_was_learnt(result);
  // The last update has no next step that would find out; of an adapter, the saving does.
  if (!adapter) warn_of_bad_weights(model, "the trained");
  metrics.close();
  if (!result.stopped) samples.write(result.steps);
  return {result, samples.last(), saver.failure()};
}

}  // namespace loragrad
