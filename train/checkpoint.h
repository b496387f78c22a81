#pragma once
// Threads: a checkpoint that is to be written belongs to one thread, which may be another than the run's if its values
// were copied (TrainState::copy_values).
#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "lora/files/adapter_to_write.h"
#include "train/run_record.h"
#include "train/train_state.h"

namespace loragrad {

/// A run between two steps, as docs/formats.md has it in a folder.
struct CheckpointToWrite {
  TrainState state;
  RunRecord run;
  std::optional<AdapterToWrite> adapter;  ///< as others read it; none where all parameters are trained
  std::string program;                    ///< what wrote it: "loragrad 0.1.0"
};

/// Writes CHECKPOINTS/step-N: complete and durable, or not at all. After that all later ones go, which are of a run that
/// was given up, and of the others all but the `keep` newest; two at least stay. What of them cannot be removed is no
/// fault of the new one: a line each is returned. IoError; NumericError for NaN or Inf in what is trained.
/// `checkpoints` is made where it is missing.
std::vector<std::string> write_checkpoint(const CheckpointToWrite& checkpoint, const std::string& checkpoints,
                                          std::size_t keep);

/// One that was read. Values come from its files when they are asked for.
struct Checkpoint {
  std::string folder;
  TrainState state;
  RunRecord run;
};

/// The steps of CHECKPOINTS/step-N, in order; none where there is no such folder.
std::vector<std::int64_t> checkpoint_steps(const std::string& checkpoints);
std::string checkpoint_folder(const std::string& checkpoints, std::int64_t step);
/// Whether a checkpoint, or a file in one, may have this name.
bool is_checkpoint_name(const std::string& name);
bool is_checkpoint_file(const std::string& name);

/// Whether a folder was written as one, whole or not.
bool is_checkpoint(const std::string& folder);
/// InputError or IoError where a file is missing or is not, byte for byte, what was written.
Checkpoint open_checkpoint(const std::string& folder);
/// The newest that is whole; of others a line each in `warnings`. None where there is none; InputError where all are
/// damaged.
std::optional<Checkpoint> newest_checkpoint(const std::string& checkpoints, std::vector<std::string>& warnings);

}  // namespace loragrad
