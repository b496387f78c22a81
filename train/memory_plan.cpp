#include "train/memory_plan.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "engine/error.h"
#include "train/progress.h"

namespace loragrad {
namespace {

// Micro-batches of so many tokens cost less than computing blocks twice; of fewer nothing is known. Measured in
// docs/design/011.
constexpr std::int64_t good_tokens = 64;

class Search {
 public:
  Search(const TrainOptions& asked, std::size_t limit, const Forecaster& forecast)
      : asked_(asked), limit_(limit), forecast_(forecast) {}

  MemoryPlan plan(bool checkpoint, std::int64_t rows) const {
    MemoryPlan plan{asked_, {}};
    plan.options.checkpoint_activations = checkpoint;
    plan.options.micro_batch = rows < asked_.rows_at_once() ? rows : asked_.micro_batch;
    plan.forecast = forecast_(plan.options);
    return plan;
  }
  bool fits(const MemoryPlan& plan) const { return plan.forecast.total() <= limit_; }

  /// With as many rows at a time as fit, `least` or more; they are then shared out evenly.
  std::optional<MemoryPlan> most_rows(bool checkpoint, std::int64_t least) const {
    std::int64_t most = asked_.rows_at_once();
    if (least > most) return std::nullopt;
    if (MemoryPlan whole = plan(checkpoint, most); fits(whole)) return whole;
    MemoryPlan best = plan(checkpoint, least);
    if (!fits(best)) return std::nullopt;
    std::int64_t fit = least, too_many = most;
    while (too_many - fit > 1) {
      std::int64_t middle = fit + (too_many - fit) / 2;
      MemoryPlan tried = plan(checkpoint, middle);
      if (fits(tried)) {
        fit = middle;
        best = tried;
      } else {
        too_many = middle;
      }
    }
    std::int64_t pieces = (most + fit - 1) / fit, even = (most + pieces - 1) / pieces;
    return even < fit ? plan(checkpoint, even) : best;
  }

 private:
  const TrainOptions& asked_;
  std::size_t limit_;
  const Forecaster& forecast_;
};

}  // namespace

std::string MemoryPlan::measures(const TrainOptions& asked) const {
  std::string text = options.checkpoint_activations && !asked.checkpoint_activations ? "checkpointed blocks" : "";
  if (std::int64_t rows = options.rows_at_once(); rows != asked.rows_at_once())
    text += fmt::format("{}{} row{} at a time", text.empty() ? "" : ", ", rows, rows == 1 ? "" : "s");
  return text;
}

MemoryPlan plan_memory(const TrainOptions& asked, std::size_t limit, std::int64_t longest_row,
                       const Forecaster& forecast) {
  Search search(asked, limit, forecast);
  std::int64_t good_rows = (good_tokens - 1) / std::max<std::int64_t>(1, longest_row) + 1;
  if (!asked.checkpoint_activations)
    if (auto plan = search.most_rows(false, std::min(good_rows, asked.rows_at_once()))) return *plan;
  if (auto plan = search.most_rows(true, 1)) return *plan;
  // Up to the next MiB but one: what the process holds differs a little from run to run.
  std::size_t least = (search.plan(true, 1).forecast.total() >> 20) + 2;
  throw IoError(fmt::format("max-memory: expected at least {} MiB (checkpointed blocks, 1 row at a time), found {}",
                            least, bytes_text(limit)));
}

}  // namespace loragrad
