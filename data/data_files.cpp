#include "data/data_files.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <vector>

#include "data/jsonl.h"
#include "engine/error.h"
#include "io/hub_cache.h"
#include "io/json.h"
#include "io/mapped_file.h"
#include "io/message.h"

namespace loragrad {
namespace {

namespace fs = std::filesystem;

std::string pandas(const std::string& reader, const std::string& name) {
  return fmt::format("python3 -c \"import pandas; pandas.{}.to_json('lines.jsonl', orient='records', lines=True)\"",
                     fmt::format(fmt::runtime(reader), name));
}

/// What makes a .jsonl of a file with this name; "" when nothing is known.
std::string remedy_for(const fs::path& file) {
  std::string name = shortened(escaped(file.filename().string()), 60), ending = file.extension().string();
  if (ending == ".parquet") return pandas("read_parquet('{}')", name);
  if (ending == ".csv") return pandas("read_csv('{}')", name);
  if (ending == ".tsv") return pandas("read_csv('{}', sep='\\t')", name);
  if (ending == ".xlsx" || ending == ".xls") return pandas("read_excel('{}')", name);
  if (ending == ".arrow")
    return fmt::format("python3 -c \"from datasets import Dataset; Dataset.from_file('{}').to_json('lines.jsonl')\"",
                       name);
  if (ending == ".gz") return fmt::format("gunzip '{}'", name);
  if (ending == ".zst") return fmt::format("unzstd '{}'", name);
  if (ending == ".xz") return fmt::format("unxz '{}'", name);
  if (ending == ".zip") return fmt::format("unzip '{}'", name);
  return "";
}

/// The files of a folder and of its folders (the hub keeps tables in data/), those that can become data first.
std::vector<std::string> files_in(const fs::path& folder) {
  std::vector<std::string> data, others;
  std::error_code error;
  fs::recursive_directory_iterator at(folder, fs::directory_options::skip_permission_denied, error), end;
  for (std::size_t seen = 0; !error && at != end && seen < 10'000; at.increment(error), ++seen) {
    std::string name = at->path().lexically_relative(folder).string(), ending = at->path().extension().string();
    bool hidden = at->path().filename().string().starts_with(".");
    if (at.depth() > 0 || hidden) at.disable_recursion_pending();
    if (hidden || !at->is_regular_file(error)) continue;
    bool usable = ending == ".jsonl" || ending == ".json" || ending == ".txt" || !remedy_for(at->path()).empty();
    (usable ? data : others).push_back(name);
  }
  std::sort(data.begin(), data.end());
  std::sort(others.begin(), others.end());
  data.insert(data.end(), others.begin(), others.end());
  return data;
}

}  // namespace

std::string dataset_file(const std::string& path, const std::string& split) {
  if (!fs::exists(path))
    throw IoError(path + ": expected a data file or folder, found none" + hub_hint(path, HubKind::dataset));
  if (!fs::is_directory(path)) return path;
  fs::path file = fs::path(path) / (split + ".jsonl");
  if (fs::exists(file)) return file.string();
  std::vector<std::string> names = files_in(path);
  std::string hint = hub_hint(path, HubKind::dataset);
  if (hint.empty() && !names.empty()) {
    std::string remedy = remedy_for(names.front());
    if (!remedy.empty()) hint = ": " + remedy;
  }
  throw IoError(fmt::format("{}: expected {}.jsonl in this folder, found {}{}", path, split,
                            names.empty() ? "no file" : list_text(names, 120), hint));
}

void require_data_file(const std::string& path) {
  std::string ending = fs::path(path).extension().string();
  if (ending == ".jsonl" || ending == ".txt") return;
  std::string remedy = ending == ".json" ? json_lines_remedy(read_data_text(path), fs::path(path).filename().string())
                                         : remedy_for(path);
  throw InputError(fmt::format("{}: expected a .jsonl or .txt file, found \"{}\"{}", path, escaped(ending),
                               remedy.empty() ? "" : ": " + remedy));
}

}  // namespace loragrad
