#pragma once
#include <chrono>
#include <cstdint>
#include <functional>
#include <future>
#include <string>
#include <vector>

#include "app/flags/save_flags.h"
#include "lora/adapter.h"
#include "train/checkpoint.h"
#include "train/trainer.h"

namespace loragrad {

/// Writes a run's checkpoints when they are due: while steps go on from a copy, in a thread, one at a time. What goes
/// wrong there ends nothing: it is said at the next step, and tried again.
class Saver {
 public:
  /// `adapter` null: all parameters are trained. `record` is called when the first is due. `metrics` is made durable
  /// before a checkpoint is: its rows reach as far, then.
  Saver(const SaveFlags& flags, std::string checkpoints, const Adapter* adapter, std::function<RunRecord()> record,
        std::string metrics);
  Saver(const Saver&) = delete;
  Saver& operator=(const Saver&) = delete;
  ~Saver();

  /// For TrainObserver::after_step. Where the run ends it waits until the checkpoint is there.
  void after_step(const TrainPoint& point);
  /// Why the last checkpoint that was due is not there; "" where it is.
  const std::string& failure() const { return failure_; }
  std::int64_t saved_step() const { return saved_step_; }  ///< 0: none

 private:
  bool is_due(const TrainPoint& point) const;
  void save(const TrainPoint& point);
  void collect(bool wait);

  const SaveFlags& flags_;
  std::string checkpoints_;
  const Adapter* adapter_;
  std::function<RunRecord()> record_;
  std::string metrics_;
  std::optional<RunRecord> recorded_;
  std::future<std::vector<std::string>> writing_;  ///< what is wrong with older ones
  std::int64_t writing_step_ = 0, saved_step_ = 0;
  std::string failure_;
  std::int64_t retry_at_ = 0, retry_after_ = 1;
  std::chrono::steady_clock::time_point last_;
};

}  // namespace loragrad
