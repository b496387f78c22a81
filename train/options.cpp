#include <cmath>
#include <string>

#include <fmt/format.h>

#include "engine/error.h"
#include "train/trainer.h"

namespace loragrad {
namespace {

void number(std::string_view flag, double value, bool ok, std::string_view expected) {
  if (!std::isfinite(value) || !ok) throw UsageError(fmt::format("{}: expected {}, found {}", flag, expected, value));
}

void count(std::string_view flag, std::int64_t value, std::int64_t min, std::int64_t max) {
  if (value < min || value > max)
    throw UsageError(fmt::format("{}: expected an integer in [{}, {}], found {}", flag, min, max, value));
}

}  // namespace

void TrainOptions::check() const {
  number("lr", lr, lr >= 0, "a number >= 0");
  number("weight-decay", weight_decay, weight_decay >= 0, "a number >= 0");
  number("beta1", beta1, beta1 >= 0 && beta1 < 1, "a number in [0, 1)");
  number("beta2", beta2, beta2 >= 0 && beta2 < 1, "a number in [0, 1)");
  number("eps", eps, eps > 0, "a number > 0");
  number("loraplus-ratio", loraplus_ratio, loraplus_ratio > 0, "a number > 0");
  number("clip", clip, clip >= 0, "a number >= 0 (0: off)");
  count("warmup-steps", warmup_steps, 0, many);
  count("batch-size", batch_size, 1, most_rows);
  count("grad-accum", grad_accum, 1, most_rows);
  count("batch-size x grad-accum", rows_per_step(), 1, most_rows);
  count("max-tokens-per-batch", max_tokens_per_batch, 0, many);
  count("micro-batch", micro_batch, 0, most_rows_at_once());
  if (steps) count("steps", *steps, 1, many);
  count("epochs", epochs, 1, many);
  count("eval-every", eval_every, 0, many);
  count("early-stop", early_stop, 0, many);
}

std::int64_t TrainOptions::total_steps(std::int64_t rows, const TrainState* from) const {
  if (steps) return *steps;
  std::int64_t taken = from ? static_cast<std::int64_t>(from->position) : 0, end = rows * epochs;
  std::int64_t before = from ? from->result.steps : 0;
  // The last step of a run that was shorter may have taken fewer rows.
  return taken < end ? before + (end - taken - 1) / rows_per_step() + 1 : before;
}

double TrainOptions::highest_lr(std::int64_t rows) const {
  std::int64_t total = total_steps(rows);
  double highest = lr * highest_schedule_factor(warmup_steps, total);
  if (lr > 0 && highest == 0)
    throw UsageError(
        fmt::format("warmup-steps: expected fewer than the run's steps, {}, found {}: every step would have "
                    "learning rate zero (--lr 0 asks for that)",
                    total, warmup_steps));
  return highest;
}

}  // namespace loragrad
