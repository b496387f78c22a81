#include "train/earlier_output.h"

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
#include "io/siblings.h"
#include "models/files/model_files.h"
#include "train/checkpoint.h"
#include "train/metrics.h"
#include "train/model_card.h"

namespace loragrad {
namespace {

namespace fs = std::filesystem;

constexpr std::array ours{"adapter_config.json", "adapter_model.safetensors", "README.md", "config.json",
                          "adapters.safetensors"};

std::string name_of(const fs::directory_entry& entry) { return entry.path().filename().string(); }

bool is_folder(const fs::directory_entry& entry) {
  std::error_code error;
  return entry.is_directory(error) && !entry.is_symlink(error);
}

/// The first entry that is no file of ours; "" where there is none.
std::string strange_file(const fs::path& folder, bool (*is_ours)(const std::string& name)) {
  for (const fs::directory_entry& entry : entries_of(folder.string()))
    if (is_folder(entry) || !is_ours(name_of(entry))) return name_of(entry);
  return "";
}

bool is_best_file(const std::string& name) { return name == evaluation_file || is_output_file(name); }

std::string strange_checkpoint(const fs::path& folder) {
  for (const fs::directory_entry& entry : entries_of(folder.string())) {
    if (!is_folder(entry) || !is_checkpoint_name(name_of(entry))) return name_of(entry);
    if (std::string strange = strange_file(entry.path(), is_checkpoint_file); !strange.empty())
      return name_of(entry) + "/" + strange;
  }
  return "";
}

/// What no run leaves in its folder; "" where there is none.
std::string strange_part(const fs::path& folder) {
  for (const fs::directory_entry& entry : entries_of(folder.string())) {
    std::string name = name_of(entry), strange;
    if (!is_folder(entry)) {
      if (name != metrics_file && name != run_file && !is_output_file(name)) return name;
      continue;
    }
    if (name != best_folder && name != checkpoints_folder) return name;
    strange = name == best_folder ? strange_file(entry.path(), is_best_file) : strange_checkpoint(entry.path());
    if (!strange.empty()) return name + "/" + strange;
  }
  return "";
}

bool is_marked(const fs::path& folder) {
  auto has = [&](const char* name, bool (*is)(std::string_view)) {
    std::error_code error;
    std::string file = (folder / name).string();
    return fs::is_regular_file(file, error) && fs::file_size(file, error) > 0 && is(MappedFile::open(file)->text());
  };
  return has("README.md", is_our_card) || has(metrics_file, is_metrics) ||
         !checkpoint_steps((folder / checkpoints_folder).string()).empty();
}

/// Of a run that was killed before its first step was told.
bool is_empty_run(const std::vector<fs::directory_entry>& entries) {
  return std::all_of(entries.begin(), entries.end(), [](const fs::directory_entry& entry) {
    std::error_code error;
    return is_folder(entry) || name_of(entry) == run_file ||
           (name_of(entry) == metrics_file && entry.file_size(error) == 0);
  });
}

}  // namespace

bool is_output_file(const std::string& name) {
  auto among = [&](const auto& names) { return std::find(names.begin(), names.end(), name) != names.end(); };
  return among(ours) || among(model_companions) || is_model_file(name);
}

EarlierOutput earlier_output(const std::string& path) {
  std::error_code error;
  if (!fs::is_directory(path, error)) return EarlierOutput::nothing;
  std::string where = path_text(path) + ": expected a folder that does not exist yet, or an earlier output, found ";
  if (std::string strange = strange_part(path); !strange.empty()) throw IoError(where + escaped(strange) + " in it");
  std::vector<fs::directory_entry> entries = entries_of(path);
  if (entries.empty()) return EarlierOutput::nothing;
  if (!is_marked(path) && !is_empty_run(entries))
    throw IoError(where + "neither a model card nor metrics of loragrad in it");
  bool finished = std::any_of(std::begin(output_marks), std::end(output_marks),
                              [&](const char* name) { return fs::exists(fs::path(path) / name, error); });
  return finished ? EarlierOutput::finished : EarlierOutput::unfinished;
}

}  // namespace loragrad
