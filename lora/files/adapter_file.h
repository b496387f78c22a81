#pragma once
// Threads: one at a time for each device (engine/device.h).
#include <string>
#include <vector>

#include "lora/adapter.h"
#include "lora/files/adapter_tensors.h"

namespace loragrad {

/// Writes adapter_config.json and adapter_model.safetensors (f32) into an existing folder, as PEFT 0.21 does
/// (docs/formats.md), for the base as it was before training (lora/merge/on_original_base.h). Each file appears whole or not at all. NumericError for NaN or Inf, before anything is written.
void save_adapter(const Adapter& adapter, const std::string& folder);

/// Reads a PEFT adapter folder (lora/files/adapter_tensors.h says what a folder that is none gets). Every field and tensor is
/// used or named: InputError for a variant that changes the result and is not supported, for tensors that do not fit
/// `all` (shapes, names), for missing and unexpected tensors (all of them in one message), for NaN and Inf. Trainable
/// when `trainable`. f16, bf16 and f64 tensors are converted to `dtype`. exclude_modules and layers_to_transform are
/// resolved: what comes back names the modules that they leave, if they leave any out. Without target_modules the
/// tensors say which. A text model's modules may be spelled otherwise than in `all` (lora/text_part.h); what is other
/// parts' is ignored. Parameters of the base that are stored too are read where `base` has the same, and an InputError
/// where it has others. `warnings` gets one line for each thing that was ignored.
Adapter load_adapter(const std::string& folder, const DevicePtr& device, const std::vector<LinearShape>& all,
                     bool trainable, std::vector<std::string>* warnings = nullptr, DType dtype = DType::f32,
                     const FindBaseTensor& base = {});

/// The configuration alone (for inspect, and for --init-adapter before the model is loaded), targets as the file has
/// them, or without any as the tensors do.
LoraConfig read_adapter_config(const std::string& folder, std::string* base_model = nullptr,
                               std::vector<std::string>* warnings = nullptr);

}  // namespace loragrad
