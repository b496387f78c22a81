#include "app/training/saver.h"

#include <fmt/format.h>

#include <exception>
#include <memory>
#include <system_error>
#include <utility>

#include "app/terminal/console.h"
#include "app/terminal/interrupt.h"
#include "engine/error.h"
#include "io/siblings.h"

namespace loragrad {

using Clock = std::chrono::steady_clock;

Saver::Saver(const SaveFlags& flags, std::string checkpoints, const Adapter* adapter, std::function<RunRecord()> record,
             std::string metrics)
    : flags_(flags),
      checkpoints_(std::move(checkpoints)),
      adapter_(adapter),
      record_(std::move(record)),
      metrics_(std::move(metrics)),
      last_(Clock::now()) {}

// A run that ends in an error still says what became of its last checkpoint.
Saver::~Saver() { collect(true); }

bool Saver::is_due(const TrainPoint& point) const {
  if (point.ends) return !flags_.every.empty() || interrupted_by() != 0;
  if (retry_at_ > 0) return point.step >= retry_at_;
  if (auto steps = flags_.every_steps()) return point.step % *steps == 0;
  auto seconds = flags_.every_seconds();
  return seconds && std::chrono::duration<double>(Clock::now() - last_).count() >= *seconds;
}

void Saver::after_step(const TrainPoint& point) {
  collect(false);
  if (!is_due(point)) return;
  collect(true);
  writing_step_ = point.step;
  try {
    save(point);
  } catch (...) {
    writing_ = std::async(std::launch::deferred, [error = std::current_exception()]() -> std::vector<std::string> {
      std::rethrow_exception(error);
    });
  }
  if (point.ends) collect(true);
}

void Saver::save(const TrainPoint& point) {
  last_ = Clock::now();
  if (!recorded_) recorded_ = record_();
  auto checkpoint = std::make_shared<CheckpointToWrite>(
      CheckpointToWrite{point.state(), *recorded_, std::nullopt, "loragrad " LORAGRAD_VERSION});
  if (adapter_) checkpoint->adapter = adapter_to_write(*adapter_);
  // Where no step follows, the values stay as they are, and need no room a second time.
  if (!point.ends) checkpoint->state.copy_values();
  auto keep = static_cast<std::size_t>(flags_.keep);
  auto write = [checkpoint, folder = checkpoints_, metrics = metrics_, keep] {
    try {
      sync_file(metrics);
    } catch (const IoError&) {  // whoever writes them says so
    }
    return write_checkpoint(*checkpoint, folder, keep);
  };
  if (!point.ends) {
    try {
      writing_ = std::async(std::launch::async, write);
      return;
    } catch (const std::system_error&) {  // no thread is to be had: the run waits for its checkpoint
    }
  }
  writing_ = std::async(std::launch::deferred, write);
}

void Saver::collect(bool wait) {
  if (!writing_.valid()) return;
  if (!wait && writing_.wait_for(std::chrono::seconds(0)) == std::future_status::timeout) return;
  try {
    std::vector<std::string> complaints = writing_.get();
    saved_step_ = writing_step_;
    failure_.clear();
    retry_at_ = 0;
    retry_after_ = 1;
    for (const std::string& complaint : complaints) warn(complaint);
  } catch (const NumericError& error) {
    // No disk's fault: the next step finds out whose.
    warn(fmt::format("{}; the checkpoint of step {} is not written", error.what(), writing_step_));
  } catch (const std::exception& error) {
    failure_ = error.what();
    warn(fmt::format("{}; the checkpoint of step {} is not written, and the run goes on", failure_, writing_step_));
    retry_at_ = writing_step_ + retry_after_;
    retry_after_ *= 2;
  }
}

}  // namespace loragrad
