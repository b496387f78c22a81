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

  MemoryPlan plan(bool recompute, std::int64_t rows) const {
    MemoryPlan plan{asked_, {}, 0};
    plan.options.checkpoint_activations = recompute;
    plan.options.micro_batch = rows < asked_.rows_at_once() ? rows : asked_.micro_batch;
    plan.forecast = forecast_.planned(plan.options);
    return plan;
  }
  bool fits(const MemoryPlan& plan) const { return plan.forecast.most() <= limit_; }

  /// With as many rows at a time as fit, `least` or more; they are then shared out evenly.
  std::optional<MemoryPlan> most_rows(bool recompute, std::int64_t least) const {
    std::int64_t most = asked_.rows_at_once();
    if (least > most) return std::nullopt;
    if (MemoryPlan whole = plan(recompute, most); fits(whole)) return whole;
    MemoryPlan best = plan(recompute, least);
    if (!fits(best)) return std::nullopt;
    std::int64_t fit = least, too_many = most;
    while (too_many - fit > 1) {
      std::int64_t middle = fit + (too_many - fit) / 2;
      MemoryPlan tried = plan(recompute, middle);
      if (fits(tried)) {
        fit = middle;
        best = tried;
      } else {
        too_many = middle;
      }
    }
    std::int64_t pieces = (most + fit - 1) / fit, even = (most + pieces - 1) / pieces;
    return even < fit ? plan(recompute, even) : best;
  }

 private:
  const TrainOptions& asked_;
  std::size_t limit_;
  const Forecaster& forecast_;
};

/// More threads than were planned for may take more than the plan did.
bool exceeds(const MemoryPlan& plan, std::size_t limit, const Forecaster& forecast) {
  return forecast.threads > planned_threads && plan.forecast.total() > limit;
}

/// Up to the next MiB but one: what the process holds differs a little from run to run.
std::size_t least_mebibytes(const TrainOptions& asked, const Forecaster& forecast) {
  return (Search(asked, 0, forecast).plan(true, 1).forecast.most() >> 20) + 2;
}

}  // namespace

std::string MemoryPlan::measures(const TrainOptions& asked) const {
  std::string text = options.checkpoint_activations && !asked.checkpoint_activations ? "checkpointed blocks" : "";
  if (std::int64_t rows = options.rows_at_once(); rows != asked.rows_at_once())
    text += fmt::format("{}{} row{} at a time", text.empty() ? "" : ", ", rows, rows == 1 ? "" : "s");
  return text;
}

std::optional<MemoryPlan> fitting_plan(const TrainOptions& asked, std::size_t limit, std::int64_t longest_row,
                                       const Forecaster& forecast, bool keep_rows) {
  Search search(asked, limit, forecast);
  std::int64_t good_rows =
      keep_rows ? asked.rows_at_once() : (good_tokens - 1) / std::max<std::int64_t>(1, longest_row) + 1;
  std::optional<MemoryPlan> plan;
  if (!asked.checkpoint_activations) plan = search.most_rows(false, std::min(good_rows, asked.rows_at_once()));
  if (!plan) plan = search.most_rows(true, 1);
  if (plan) plan->forecast = forecast.real(plan->options);
  return plan;
}

MemoryPlan plan_memory(const TrainOptions& asked, std::size_t limit, std::int64_t longest_row,
                       const Forecaster& forecast, bool keep_rows) {
  auto plan = fitting_plan(asked, limit, longest_row, forecast, keep_rows);
  if (!plan)
    throw OutOfMemory(
        fmt::format("max-memory: expected at least {} MiB (checkpointed blocks, 1 row at a time), found {}",
                    least_mebibytes(asked, forecast), bytes_text(limit)));
  if (exceeds(*plan, limit, forecast))
    throw OutOfMemory(
        fmt::format("threads: expected so few that the run keeps within max-memory {} ({} do), found {}, "
                    "which take {}",
                    bytes_text(limit), planned_threads, forecast.threads, bytes_text(plan->forecast.total())));
  return *plan;
}

std::string memory_warning(const MemoryPlan& plan, const TrainOptions& asked, std::int64_t longest_row,
                           const Forecaster& forecast) {
  const Forecast& f = plan.forecast;
  std::size_t needed = f.own_memory ? f.total() : f.still_to_come(),
              mapped = f.own_memory || f.weights_are_released ? 0 : f.weights;
  // A limit has counted the base already: it is mapped while it is planned for.
  if (needed + (plan.limit ? 0 : mapped) <= plan.available) return "";
  std::string text =
      f.own_memory ? memory_lack(f, plan.available)
      : plan.limit ? fmt::format("memory: {} are left of {} {}, and {} more will be needed", bytes_text(plan.available),
                                 plan.limit->name, bytes_text(plan.limit->bytes), bytes_text(needed))
                   : fmt::format("memory: {} are available, and {} more will be needed", bytes_text(plan.available),
                                 bytes_text(needed));
  if (mapped > 0 && !plan.limit)
    text += fmt::format(" beside the base's {} of mapped pages{}", bytes_text(mapped),
                        needed > plan.available ? "" : ", which will be read from the disk again and again");
  // --max-memory counts what the process holds, and the mapped pages.
  std::size_t limit = (plan.available + (f.own_memory ? 0 : f.held) + (plan.limit ? mapped : 0)) >> 20;
  auto fit = fitting_plan(asked, limit << 20, longest_row, forecast);
  if (fit && !exceeds(*fit, limit << 20, forecast))
    return text + fmt::format("; --max-memory {}MiB would fit ({})", limit, fit->measures(asked));
  return text + fmt::format("; the least is {} MiB in all (checkpointed blocks, 1 row at a time)",
                            least_mebibytes(asked, forecast));
}

}  // namespace loragrad
