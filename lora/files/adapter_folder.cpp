#include <filesystem>

#include "engine/error.h"
#include "io/json.h"
#include "io/mapped_file.h"
#include "io/message.h"
#include "io/needed_folder.h"
#include "lora/files/adapter_tensors.h"

namespace loragrad {
namespace {

namespace fs = std::filesystem;

/// mlx calls its configuration as PEFT does.
bool is_mlx_config(const fs::path& path) {
  try {
    Json json = read_json_file(path.string());
    return !json.find("peft_type") && (json.find("fine_tune_type") || json.find("lora_parameters"));
  } catch (const Error&) {
    return false;  // whoever reads it says why
  }
}

}  // namespace

void require_adapter_folder(const std::string& folder) {
  fs::path path(folder);
  auto has = [&](const char* name) { return is_there(path / name); };
  std::string where = path_text(folder) + ": ";
  bool peft = has("adapter_model.safetensors") || has("adapter_model.bin");
  if (!peft && has("adapters.safetensors"))
    throw InputError(where +
                     "expected PEFT's adapter, found one of mlx: loragrad convert --model BASE --adapter DIR --to peft "
                     "--output OUT writes it as PEFT has it");
  if (!peft && (has("adapters.npz") || is_mlx_config(path / "adapter_config.json")))
    throw InputError(where +
                     "expected PEFT's adapter, found an older one of mlx: merge it with mlx_lm.fuse --model BASE "
                     "--adapter-path DIR --save-path OUT, and give OUT as --model");
  require_folder_with(folder, "adapter_config.json");
}

}  // namespace loragrad
