#include "app/device_memory.h"

#include <fmt/format.h>

#include <algorithm>

#include "train/progress.h"

namespace loragrad {

std::vector<std::pair<const char*, std::size_t>> forecast_parts(const Forecast& f) {
  std::vector<std::pair<const char*, std::size_t>> parts{{"weights", f.weights},
                                                         {"trained", f.trained},
                                                         {"optimiser", f.optimiser},
                                                         {"activations", f.activations},
                                                         {"workspace", f.workspace},
                                                         {"checkpoint", f.own_memory ? 0 : f.checkpoint},
                                                         {"process", f.own_memory ? 0 : f.process}};
  std::erase_if(parts, [](const auto& part) { return part.second == 0; });
  return parts;
}

std::string forecast_parts_text(const Forecast& forecast) {
  std::string text;
  for (const auto& [name, bytes] : forecast_parts(forecast))
    text += fmt::format("{}{} {}", text.empty() ? "" : ", ", name, bytes_text(bytes));
  return text;
}

std::string device_forecast_text(const Forecast& forecast) {
  return fmt::format("forecast: {} of the GPU's memory ({}), {} of the host's", bytes_text(forecast.total()),
                     forecast_parts_text(forecast), bytes_text(forecast.process));
}

}  // namespace loragrad
