#pragma once
#include <cstdint>
#include <string>

#include "train/trainer.h"

namespace loragrad {

/// How far a run is.
struct Progress {
  StepReport report;
  std::int64_t total_steps = 0;
  std::int64_t timed_steps = 0;  ///< steps so far that had a loss: the others take no time, and say nothing of it
  double seconds = 0;            ///< of those
  /// Takes over the next report.
  void step_ends(const StepReport& next);
  /// Expected of the steps to come, at the mean speed so far.
  double seconds_left() const;
  double share() const;  ///< of the steps that are done, from 0 to 1
};

/// "47s", "3m07s", "2h05m", "4d06h".
std::string duration_text(double seconds);
/// A number with its unit: "812 B", "1.5 KiB", "2.25 GiB".
std::string bytes_text(std::size_t bytes);

/// "step 12/100  loss 2.3456  lr 2.00e-04  812 tokens/s  1m23s left"; on a device with memory of its own with
/// "GPU 3.20 GiB" before the end
std::string progress_text(const Progress& progress);
/// A text behind a bar, full by `share` of 1, that fills what is left of `width` columns, at most 40; never longer than
/// `width`.
std::string bar_text(double share, const std::string& text, int width);

}  // namespace loragrad
