#pragma once
#include <cstddef>
#include <string>
#include <vector>

#include "io/safetensors_write.h"
#include "lora/adapter.h"

namespace loragrad {

/// What adapter_config.json and adapter_model.safetensors are to hold (lora/files/adapter_file.h), on the host: training may go
/// on, and another thread may write it.
struct AdapterToWrite {
  std::string config;
  std::vector<TensorOutline> tensors;
  std::vector<std::vector<std::byte>> values;  ///< of each
};
/// NumericError for NaN or Inf, also where a value is too large for the file's type.
AdapterToWrite adapter_to_write(const Adapter& adapter);
/// Writes both into an existing folder. Each appears whole or not at all, the configuration last.
void write_adapter(const AdapterToWrite& adapter, const std::string& folder);

}  // namespace loragrad
