#pragma once
#include <string>
#include <vector>

#include "lora/matching.h"

namespace loragrad {

/// What an adapter_config.json says.
struct AdapterConfigFile {
  LoraConfig config;
  std::string base_model;
  ModuleLimits limits;
  bool ensure_weight_tying = false;
};

/// Reads PEFT 0.21's file (docs/formats.md lists the fields). A field that changes the result and is not supported is
/// an InputError that names it; one that is ignored without effect, known or not, is a line in `warnings`.
AdapterConfigFile read_adapter_config_file(const std::string& path, std::vector<std::string>* warnings);

/// The file's text as PEFT 0.21.2 writes it: every field, keys sorted, indented by 2, target_modules sorted. Patterns
/// for ranks and alphas are tried in the file's order, so where sorting the keys would change a module's rank or alpha
/// the modules are written by their full names instead.
std::string adapter_config_text(const Adapter& adapter);

}  // namespace loragrad
