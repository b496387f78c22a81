#include "train/output.h"

#include <algorithm>
#include <array>
#include <filesystem>

#include "engine/error.h"
#include "io/json.h"
#include "io/mapped_file.h"
#include "lora/adapter_file.h"
#include "models/model_files.h"

namespace loragrad {
namespace {

namespace fs = std::filesystem;

constexpr std::array ours{
    "adapter_config.json", "adapter_model.safetensors", "README.md", "metrics.jsonl", "report.html", "checkpoints",
    "config.json",         "model.safetensors"};

bool is_ours(const std::string& name) {
  auto among = [&](const auto& names) { return std::find(names.begin(), names.end(), name) != names.end(); };
  return among(ours) || among(model_companions);
}

AtomicFolder::Existing checked(const std::string& path, bool overwrite) {
  std::error_code error;
  fs::directory_iterator entries(path, error);
  // Not there, or no folder: AtomicFolder says so.
  if (error) return AtomicFolder::Existing::refuse;
  bool any = false, is_output = false;
  for (fs::directory_iterator end; entries != end; entries.increment(error)) {
    std::string name = entries->path().filename().string();
    any = true;
    is_output = is_output || name == "adapter_config.json" || name == "config.json";
    if (overwrite && !is_ours(name))
      throw IoError(escaped(path, 4096) + ": expected an earlier output to overwrite, found " + escaped(name) +
                    " in it");
    if (error) throw IoError(system_message(path, "read", error.value()));
  }
  if (!any) return AtomicFolder::Existing::replace;
  if (overwrite && !is_output)
    throw IoError(escaped(path, 4096) + ": expected an earlier output to overwrite, found a folder without one");
  return overwrite ? AtomicFolder::Existing::replace : AtomicFolder::Existing::refuse;
}

}  // namespace

TrainingOutput::TrainingOutput(const std::string& path, bool overwrite) : folder_(path, checked(path, overwrite)) {}

std::string TrainingOutput::file(const std::string& name) const {
  return (fs::path(folder_.staging()) / name).string();
}

void TrainingOutput::save_adapter(const Adapter& adapter, const std::string& card) {
  loragrad::save_adapter(adapter, folder_.staging());
  write_file(file("README.md"), card);
}

void TrainingOutput::save_checkpoint(const CausalLm& model, const std::string& base_folder, const std::string& card) {
  write_checkpoint(model, base_folder, folder_.staging());
  write_file(file("README.md"), card);
}

}  // namespace loragrad
