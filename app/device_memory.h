#pragma once
#include <string>
#include <utility>
#include <vector>

#include "engine/error.h"
#include "train/forecast.h"

namespace loragrad {

/// The parts of a forecast's total by name, without the empty ones.
std::vector<std::pair<const char*, std::size_t>> forecast_parts(const Forecast& forecast);
/// "weights 2.10 GiB, trained 6.01 MiB"
std::string forecast_parts_text(const Forecast& forecast);

/// Of a device with memory of its own: "forecast: 5.10 GiB of the GPU's memory (weights 2.10 GiB, ...), 612 MiB of the
/// host's".
std::string device_forecast_text(const Forecast& forecast);

/// work(). Where the device's memory runs out all the same, the error has the forecast beside it.
template <class Work>
auto beside_forecast(const Forecast& forecast, Work work) {
  try {
    return work();
  } catch (const OutOfMemory& error) {
    if (!forecast.own_memory) throw;
    throw OutOfMemory(error.what() + ("; " + device_forecast_text(forecast)));
  }
}

}  // namespace loragrad
