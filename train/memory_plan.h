#pragma once
#include <cstddef>
#include <functional>
#include <optional>
#include <string>

#include "engine/memory_limit.h"
#include "train/forecast.h"

namespace loragrad {

/// How a run is to keep within a limit of memory. What it trains, and the result but for rounding, stay as asked.
struct MemoryPlan {
  TrainOptions options;  ///< as asked, but for micro_batch and checkpoint_activations
  Forecast forecast;     ///< of these options
  /// Bytes that the process may still take (train/process_memory.h), when it was made; or those of its own that the
  /// device may come to hold.
  std::size_t available = 0;
  /// The process's limit, where what is available is what it leaves.
  std::optional<MemoryLimit> limit = std::nullopt;

  /// What was changed: "", "1 row at a time", "checkpointed blocks, 2 rows at a time".
  std::string measures(const TrainOptions& asked) const;
};

/// A plan counts the memory of so many threads: how a run is split, and with it its last bits, is not to depend on how
/// many it has. A device with memory of its own is planned for as it is.
constexpr int planned_threads = 16;

/// Forecasts of a run by its options.
struct Forecaster {
  using Function = std::function<Forecast(const TrainOptions&)>;
  Function planned;  ///< like planning_device(planned_threads): what a plan goes by
  Function real;     ///< like the run's device: what it will take
  int threads = 1;   ///< of the run
};

/// The fastest of the ways to run whose planned forecast is within `limit` bytes, as plan_memory finds it, with its
/// real forecast; none when none fits.
/// `keep_rows`: blocks are checkpointed before fewer rows are taken at a time, which changes the last bits.
std::optional<MemoryPlan> fitting_plan(const TrainOptions& asked, std::size_t limit, std::int64_t longest_row,
                                       const Forecaster& forecast, bool keep_rows = false);

/// What to say where the plan's forecast is above what is available, with what would fit; "" where it is not. The
/// base's mapped pages are named apart, but under a limit, which has counted them.
std::string memory_warning(const MemoryPlan& plan, const TrainOptions& asked, std::int64_t longest_row,
                           const Forecaster& forecast);

/// The fastest of the ways to run whose forecast is within `limit` bytes: as asked; fewer rows at a time, as many as
/// fit, while they still have a good number of tokens (up to a quarter more time); checkpointed blocks (a third more or
/// half), with as many rows at a time as fit. `longest_row`: tokens of the longest row. OutOfMemory naming the least
/// that would do when none fits, and for threads beyond those that were planned for where they take more than `limit`.
MemoryPlan plan_memory(const TrainOptions& asked, std::size_t limit, std::int64_t longest_row,
                       const Forecaster& forecast, bool keep_rows = false);

}  // namespace loragrad
