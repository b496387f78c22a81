#include "train/output.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <system_error>
#include <vector>

#include "engine/error.h"
#include "io/json.h"
#include "io/mapped_file.h"
#include "io/message.h"
#include "io/sharded_writer.h"
#include "lora/adapter_file.h"
#include "models/model_files.h"
#include "models/write_model.h"
#include "train/metrics.h"
#include "train/model_card.h"

namespace loragrad {
namespace {

namespace fs = std::filesystem;

constexpr std::array ours{"adapter_config.json", "adapter_model.safetensors", "README.md", "metrics.jsonl",
                          "config.json",         "adapters.safetensors",      "run.yaml"};

/// A folder within, of the same files.
constexpr const char* best_folder = "best";

bool is_ours(const std::string& name) {
  auto among = [&](const auto& names) { return std::find(names.begin(), names.end(), name) != names.end(); };
  return among(ours) || among(model_companions) || is_model_file(name);
}

bool is_marked(const fs::path& folder) {
  auto has = [&](const char* name, bool (*is)(std::string_view)) {
    std::error_code error;
    std::string file = (folder / name).string();
    return fs::is_regular_file(file, error) && fs::file_size(file, error) > 0 && is(MappedFile::open(file)->text());
  };
  return has("README.md", is_our_card) || has("metrics.jsonl", is_metrics);
}

/// What keeps a folder from being an earlier output, "" where nothing does.
std::string objection(const fs::path& folder, const std::vector<fs::directory_entry>& entries) {
  std::error_code error;
  for (const fs::directory_entry& entry : entries) {
    std::string name = entry.path().filename().string();
    if (name == best_folder && entry.is_directory(error) && !entry.is_symlink(error)) {
      for (fs::directory_iterator at(entry.path(), error), end; !error && at != end; at.increment(error))
        if (!is_ours(at->path().filename().string()) || at->is_directory(error))
          return escaped(name + "/" + at->path().filename().string()) + " in it";
      if (!error) continue;
    }
    if (!is_ours(name) || entry.is_directory(error)) return escaped(name) + " in it";
  }
  return is_marked(folder) ? "" : "neither a model card nor metrics of loragrad in it";
}

AtomicFolder::Existing checked(const std::string& path, bool overwrite) {
  std::error_code error;
  std::vector<fs::directory_entry> entries;
  for (fs::directory_iterator at(path, error), end; !error && at != end; at.increment(error)) entries.push_back(*at);
  // Not there, or no folder: AtomicFolder says so.
  if (error == std::errc::no_such_file_or_directory || error == std::errc::not_a_directory)
    return AtomicFolder::Existing::refuse;
  if (error) throw IoError(system_message(path, "read", error.value()));
  if (entries.empty()) return AtomicFolder::Existing::replace;
  std::string found = objection(path, entries), where = path_text(path) + ": expected ";
  if (overwrite && !found.empty()) throw IoError(where + "an earlier output to overwrite, found " + found);
  if (!overwrite && !found.empty()) throw IoError(where + "a folder that does not exist yet, found " + found);
  if (!overwrite)
    throw IoError(where + "a folder that does not exist yet, found an earlier output (--overwrite replaces it)");
  return AtomicFolder::Existing::replace;
}

}  // namespace

TrainingOutput::TrainingOutput(const std::string& path, bool overwrite)
    : path_(path), overwrite_(overwrite), existing_(checked(path, overwrite)), folder_(path, existing_) {}

std::string TrainingOutput::commit() {
  std::error_code error;
  bool may = existing_ == AtomicFolder::Existing::replace || !fs::exists(fs::symlink_status(path_, error));
  try {
    checked(path_, overwrite_);
  } catch (const IoError&) {
    may = false;
  }
  if (!may) path_ = folder_.go_beside(".new-" + std::to_string(::getpid()));
  folder_.commit();
  return path_;
}

std::string TrainingOutput::file(const std::string& name) const {
  return (fs::path(folder_.staging()) / name).string();
}

void TrainingOutput::save_adapter(const Adapter& adapter, const std::string& card) {
  loragrad::save_adapter(adapter, folder_.staging());
  write_file(file("README.md"), card);
}

void TrainingOutput::save_best(const Adapter& adapter) const {
  std::string folder = file(best_folder);
  std::error_code error;
  fs::create_directory(folder, error);
  if (error) throw IoError(system_message(folder, "create", error.value()));
  loragrad::save_adapter(adapter, folder);
}

bool TrainingOutput::has_best() const { return fs::exists(fs::path(file(best_folder)) / "adapter_config.json"); }

void TrainingOutput::save_model(const CausalLm& model, const std::string& base_folder, const std::string& card) {
  write_model(model, base_folder, folder_.staging());
  write_file(file("README.md"), card);
}

}  // namespace loragrad
