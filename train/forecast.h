#pragma once
#include <cstddef>
#include <functional>
#include <string>
#include <vector>

#include "data/dataset.h"
#include "models/model.h"
#include "train/memory_profile.h"
#include "train/trainer.h"

namespace loragrad {

/// Predicted peak memory of a run, in bytes.
struct Forecast {
  /// The device has memory of its own: all parts but `process` are in that, and `process` is the host's.
  bool own_memory = false;
  /// The model's files: they are mapped, and every page is read. Of a device with memory of its own, the frozen weights
  /// there.
  std::size_t weights = 0;
  /// Adapters, or the parameters with --full (with those converted at loading, for either, where files are mapped).
  std::size_t trained = 0;
  std::size_t optimiser = 0;  ///< AdamW's two moments
  /// The most that activations, gradients and scratch space take at once, and the gaps that placing them leaves.
  std::size_t activations = 0;
  std::size_t checkpoint = 0;  ///< the copy that a checkpoint is written from; the host's
  std::size_t workspace = 0;   ///< what libraries take of a device's own memory (Device::run_bytes)
  std::size_t process = 0;     ///< what the process holds already, and what its libraries will still take
  std::size_t held = 0;        ///< of `process`, what it holds already
  /// While a fully trained model is being loaded, its files and its copy are there together; later the files are not.
  bool weights_are_released = false;
  MemoryProfile profile;  ///< of the batch that was run
  /// Of the memory that the run computes in: the device's own, or else the process's.
  std::size_t total() const;
  /// The total with what rows in another order may leave as gaps (a 64th), where memory ends with the device's: there a
  /// run that takes more than it may does not go on.
  std::size_t most() const { return total() + (own_memory ? total() / 64 : 0); }
  /// What the system has yet to give: the total without `held` and without `weights`, whose mapped pages it can take
  /// back and read again.
  std::size_t still_to_come() const;
};

/// What a run may take of a device's own memory: what tensors may, and the workspace.
std::size_t available_on(const Device& device);

/// "memory: 78.9 GiB of the device's may be taken, and 102 GiB will be needed"; "" where they are no more than
/// `available`.
std::string memory_lack(const Forecast& forecast, std::size_t available);

/// What is there before the first pass of a model on a meta device, tensors not counted.
Forecast forecast_before(const CausalLm& outline, std::size_t batch_shapes);

/// Adapters on the meta device of a model's outline.
using AdapterOutlines = std::function<std::vector<WeightedAdapter>(const CausalLm& outline)>;

/// Runs steps of the micro-batch with the most tokens that comes (of the longest rows, in a run of very many), and if
/// there is `eval` its largest part, on a meta device like `like`: nothing is computed and no weight is read. `lora`
/// null: all parameters are trained. `eval_adapters` gives the outlines of those that rows of `eval` choose. Call it
/// before the model itself has been used, so that its pages are not counted twice.
Forecast forecast_training(const std::string& model_folder, LoadOptions load, const LoraConfig* lora,
                           const TrainOptions& options, const Dataset& data, const DevicePtr& like,
                           const Dataset* eval = nullptr, const AdapterOutlines& eval_adapters = {});

/// The same for a new model, all of whose parameters are trained.
Forecast forecast_pretraining(const std::string& config_json_file, const TrainOptions& options, const Dataset& data,
                              const DevicePtr& like, const Dataset* eval = nullptr);

}  // namespace loragrad
