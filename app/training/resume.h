#pragma once
#include <optional>

#include "app/flags/training_flags.h"
#include "app/inputs.h"
#include "app/training/training_data.h"
#include "train/checkpoint.h"
#include "train/run_folder.h"

namespace loragrad {

/// With --resume the checkpoint that the run in this folder goes on from, and the micro-batch as it was settled there
/// taken over into the flags; none, which is said, where there is none.
std::optional<Checkpoint> find_checkpoint(TrainingFlags& flags, const RunFolder& output);

/// What the flags, data and device of train and pretrain say of a run, that goes on from a state or begins; the adapter's
/// options and the base come to it.
RunRecord run_record(const TrainingFlags& flags, const DataFlags& data_flags, const TrainingData& data,
                     const TrainOptions& options, const std::string& device, const TrainState* from);

/// Whether the run may go on from the checkpoint: InputError with all that differs, unless --force-resume says to go on,
/// and then a warning. What may differ is noted.
void check_resume(const TrainingFlags& flags, Checkpoint& checkpoint, const RunRecord& now);

/// Why a finished output has no step left to take of those that are asked for; "" where it has.
std::string nothing_left(const TrainingFlags& flags, const TrainingData& data, const RunFolder& output,
                         const Checkpoint& checkpoint);

}  // namespace loragrad
