#include "app/model_to_load.h"

#include "app/adapters.h"
#include "app/terminal/console.h"
#include "ops/meta_device.h"

namespace loragrad {

ModelToLoad::ModelToLoad(const ComputeFlags& compute, std::string folder)
    : options_(compute.load_options()), folder_(std::move(folder)), device_(compute.device.open()) {
  outline_ = load_model(folder_, meta_device(device_.device()), options_);
  warn_of_config(*outline_);
  config_ = outline_->config();
}

std::unique_ptr<CausalLm> ModelToLoad::load(const std::vector<std::string>& adapters, const Forecasting& forecast) {
  std::unique_ptr<CausalLm> model =
      device_.on_what_fits([&](const DevicePtr& device) { return load_on(device, adapters, forecast); });
  warn_of_precision(*model, folder_, options_.precision);
  return model;
}

std::unique_ptr<CausalLm> ModelToLoad::load_on(const DevicePtr& device, const std::vector<std::string>& adapters,
                                               const Forecasting& forecast) {
  if (!device->shares_host_memory()) {
    forecast_ = forecast(*outline_, outline_adapters(adapters, {*outline_, folder_}));
    if (std::string lack = memory_lack(forecast_, available_on(*device)); !lack.empty()) throw OutOfMemory(lack);
    note(device_forecast_text(forecast_));
  }
  outline_.reset();
  return use([&] { return load_model(folder_, device, options_); });
}

}  // namespace loragrad
