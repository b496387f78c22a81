#pragma once
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "app/device_memory.h"
#include "app/inputs.h"

namespace loragrad {

/// A model that a command is about to load: what is known before its weights are touched, and where it will be.
class ModelToLoad {
 public:
  /// Opens the device, and prints what the model's files say that counts for nothing.
  ModelToLoad(const ComputeFlags& compute, std::string folder);
  const ModelConfig& config() const { return config_; }

  /// Loads it, and warns where its precision is not the checkpoint's. Where the device has memory of its own, it is
  /// said first what `forecast(outline, adapters)` finds that the command will take. What does not fit is OutOfMemory,
  /// or where auto took the device, the processor goes on.
  using Forecasting = std::function<Forecast(const CausalLm&, const std::vector<WeightedAdapter>&)>;
  std::unique_ptr<CausalLm> load(const std::vector<std::string>& adapters, const Forecasting& forecast);

  /// work(), beside the forecast.
  template <class Work>
  auto use(Work work) const {
    return beside_forecast(forecast_, work);
  }

 private:
  std::unique_ptr<CausalLm> load_on(const DevicePtr& device, const std::vector<std::string>& adapters,
                                    const Forecasting& forecast);

  LoadOptions options_;
  std::string folder_;
  ChosenDevice device_;
  std::unique_ptr<CausalLm> outline_;  ///< on a meta device like the first that was chosen, until a model is loaded
  ModelConfig config_;
  Forecast forecast_;
};

}  // namespace loragrad
