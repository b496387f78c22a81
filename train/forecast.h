#pragma once
#include <cstddef>
#include <string>

#include "data/dataset.h"
#include "models/model.h"
#include "train/memory_profile.h"
#include "train/trainer.h"

namespace loragrad {

/// Predicted peak memory of a training run, in bytes.
struct Forecast {
  std::size_t weights = 0;  ///< the model's files: they are mapped, and every page is read
  /// Adapter, or the parameters with --full (with parameters converted at loading, for either).
  std::size_t trained = 0;
  std::size_t optimiser = 0;  ///< AdamW's two moments
  /// The most that activations, gradients and scratch space take at once, and the gaps that placing them leaves.
  std::size_t activations = 0;
  std::size_t process = 0;  ///< what the process holds already, and what its libraries will still take
  std::size_t held = 0;     ///< of `process`, what it holds already
  /// While a fully trained model is being loaded, its files and its copy are there together; later the files are not.
  bool weights_are_released = false;
  MemoryProfile profile;  ///< of the batch that was run
  std::size_t total() const;
  /// What the system has yet to give: the total without `held` and without `weights`, whose mapped pages it can take
  /// back and read again.
  std::size_t still_to_come() const;
};

/// Runs steps of the micro-batch with the most tokens that comes (of the longest rows, in a run of very many), and if
/// there is `eval` its largest part, on a meta device like `like`: nothing is computed and no weight is read. `lora`
/// null: all parameters are trained. Call it before the model itself has been used, so that its pages are not counted
/// twice.
Forecast forecast_training(const std::string& model_folder, LoadOptions load, const LoraConfig* lora,
                           const TrainOptions& options, const Dataset& data, const DevicePtr& like,
                           const Dataset* eval = nullptr);

/// The same for a new model, all of whose parameters are trained.
Forecast forecast_pretraining(const std::string& config_json_file, const TrainOptions& options, const Dataset& data,
                              const DevicePtr& like, const Dataset* eval = nullptr);

}  // namespace loragrad
