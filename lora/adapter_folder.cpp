#include <filesystem>

#include "engine/error.h"
#include "io/json.h"
#include "lora/adapter_tensors.h"

namespace loragrad {
namespace {

namespace fs = std::filesystem;

/// A folder within that is an adapter's: PEFT saves each one but "default" in a folder of its own, trainers each
/// checkpoint.
std::string adapter_within(const fs::path& folder) {
  std::string first;
  std::error_code error;
  for (fs::directory_iterator at(folder, error), end; !error && at != end; at.increment(error)) {
    std::string name = at->path().filename().string();
    if (fs::exists(at->path() / "adapter_config.json", error) && (first.empty() || name < first)) first = name;
  }
  return first;
}

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
  auto has = [&](const char* name) {
    std::error_code error;
    return fs::exists(fs::symlink_status(path / name, error));
  };
  std::string where = escaped(folder, 4096) + ": ";
  bool peft = has("adapter_model.safetensors");
  if (!peft && (has("adapters.safetensors") || has("adapters.npz") || is_mlx_config(path / "adapter_config.json")))
    throw InputError(where +
                     "expected PEFT's adapter, found one of mlx: merge it with mlx_lm.fuse --model BASE --adapter-path "
                     "DIR --save-path OUT, and give OUT as --model");
  if (!has("adapter_config.json")) {
    std::string expected = where + "expected adapter_config.json in this folder, found ";
    if (has("config.json")) throw IoError(expected + "a model (give it as --model)");
    if (std::string within = adapter_within(path); !within.empty())
      throw IoError(expected + "it in " + escaped(within, 200) + " within");
    throw IoError(expected + "none");
  }
  if (!peft && has("adapter_model.bin"))
    throw InputError(
        where +
        "expected adapter_model.safetensors, found adapter_model.bin; convert it there: python3 -c "
        "\"import torch;from safetensors.torch import save_file;save_file({k:v.clone().contiguous() for k,v "
        "in torch.load('adapter_model.bin','cpu',weights_only=True).items()},'adapter_model.safetensors',"
        "{'format':'pt'})\"");
}

}  // namespace loragrad
