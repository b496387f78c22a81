#pragma once
#include <string>

#include "app/flags/training_flags.h"
#include "app/training/training_data.h"
#include "io/json.h"
#include "train/memory_plan.h"

namespace loragrad {

/// What is known before the first step: to stdout, or with --json to stderr.
void report_plan(const TrainingFlags& flags, const std::string& line);
/// How --max-tokens-per-batch fills micro-batches, beside what rows would give; "" without it.
std::string filling_text(const Dataset& data, const TrainOptions& options);
/// The plan's lines about the data; the run goes on from a state, or begins.
void report_data(const TrainingFlags& flags, const TrainingData& data, const TrainState* from);

/// The options of a run on `device` (which was opened with the limit) as --max-memory needs them, with their forecast;
/// without the flag as they are.
/// OutOfMemory when no way to run is within the limit. Where the forecast is above what is available it is too, on a
/// device with memory of its own, and else a warning. `goes_on`: from a checkpoint, so that rows stay as they were cut.
MemoryPlan plan_within_limit(const TrainingFlags& flags, const Dataset& data, const DevicePtr& device,
                             const Forecaster& forecast, bool goes_on);
/// The plan's lines about memory.
void report_memory(const TrainingFlags& flags, const MemoryPlan& plan);
/// {"predicted_peak_bytes", "predicted": {part: bytes}, "checkpoint_activations", "rows_at_once"}; of a device with
/// memory of its own "predicted_host_bytes" too.
Json::Object memory_json(const MemoryPlan& plan);

}  // namespace loragrad
