#pragma once
#include <functional>
#include <map>
#include <optional>
#include <string>

#include "app/flags/lora_flags.h"
#include "app/inputs.h"
#include "app/training/training_plan.h"

namespace loragrad {

/// The flags of train. check takes the same, so that one word of a command line is all there is to change.
struct TrainFlags {
  std::string model_folder;
  TrainingFlags training;
  LoraFlags lora;
  DataFlags data;
  ComputeFlags compute;
  std::string profile;                ///< "", "time" or "memory"
  std::vector<std::string> adapters;  ///< "NAME=DIR[:WEIGHT]", that rows of the evaluation data choose

  void add(Flags& flags);
  /// After parsing: what one flag says about another, and folders that have to be there.
  void finish(const Flags& flags);
};

/// What a run of train will be, known before any weight is touched.
struct TrainingPlan {
  DevicePtr device;
  LoadOptions load;
  std::optional<Tokenizer> tokenizer;
  TrainingData data;
  MemoryPlan memory;
  std::optional<Adapter> adapter;              ///< none with --full
  std::int64_t trainable = 0, parameters = 0;  ///< of parameters, the adapter's included, what is trained

  /// Adapted modules, counted by the last part of their names.
  std::map<std::string, std::int64_t> modules() const;
  /// "4 (q_proj 2, v_proj 2)"
  std::string modules_text() const;
};

/// Opens and checks everything that a run needs but the weights, and forecasts its memory. The run's device is what
/// `wrap`, where given, makes of the one that the flags choose. `goes_on`: from a checkpoint. Interrupted where a signal
/// has been caught.
TrainingPlan plan_training(const TrainFlags& flags, bool goes_on,
                           const std::function<DevicePtr(const DevicePtr&)>& wrap = {});

/// Once the model is loaded: an adapter that starts from the base's weights (DoRA, PiSSA, OLoRA) has its first values,
/// and the parameters that are trained beside it are in their places.
void start_from_base(const TrainFlags& flags, TrainingPlan& plan, CausalLm& model);

/// The plan in lines, as report_plan prints them; the run goes on from a state, or begins.
void report_training(const TrainFlags& flags, const TrainingPlan& plan, const TrainState* from);

}  // namespace loragrad
