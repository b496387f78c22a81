#include "io/needed_folder.h"

#include <algorithm>
#include <filesystem>
#include <vector>

#include "engine/error.h"
#include "io/hub_cache.h"
#include "io/mapped_file.h"
#include "io/message.h"

namespace loragrad {
namespace {

namespace fs = std::filesystem;

/// Of a file given for a folder.
std::string file_hint(const fs::path& path, const std::string& file) {
  if (path.extension() == ".gguf") return " of GGUF, which is not read: take the folder that it was made from";
  fs::path folder = path.has_parent_path() ? path.parent_path() : ".";
  return !file.empty() && is_there(folder / file) ? ": give its folder, " + path_text(folder.string()) : "";
}

/// What a folder without `file` has instead.
std::string content_text(const fs::path& folder, const std::string& file) {
  std::vector<std::string> names, holders;
  std::error_code error;
  for (fs::directory_iterator at(folder, error), end; !error && at != end; at.increment(error)) {
    names.push_back(at->path().filename().string());
    if (is_there(at->path() / file)) holders.push_back(names.back());
  }
  if (error) return "cannot read: " + error.message();
  std::string expected = "expected " + file + " in this folder, found ";
  for (auto* list : {&names, &holders}) std::sort(list->begin(), list->end());
  if (!holders.empty()) return expected + "it in " + list_text(holders, 160) + " within";
  for (auto [other, what] : {std::pair("adapter_config.json", "an adapter (give it as --adapter, its base as --model)"),
                             {"config.json", "a model (give it as --model)"}})
    if (is_there(folder / other)) return expected + what;
  return expected + (names.empty() ? "nothing" : list_text(names, 160));
}

}  // namespace

void require_folder_with(const std::string& path, const std::string& file) {
  std::string where = path_text(path) + ": ";
  std::error_code error;
  fs::file_status status = fs::status(path, error);
  if (status.type() == fs::file_type::not_found)
    throw IoError(where + "expected a folder, found nothing" + hub_hint(path, HubKind::model));
  if (error) throw IoError(where + "cannot read: " + error.message());
  if (!fs::is_directory(status)) throw IoError(where + "expected a folder, found a file" + file_hint(path, file));
  fs::path folder(path);
  if (!file.empty() && is_there(folder / file)) return;
  bool has_model = is_there(folder / "config.json") || is_there(folder / "tokenizer.json");
  std::string hint = has_model ? "" : hub_hint(path, HubKind::model);
  if (!hint.empty()) throw IoError(where + "expected a model's or adapter's folder, found " + hint.substr(2));
  if (!file.empty()) throw IoError(where + content_text(folder, file));
}

std::string needed_folder(const std::string& path, const std::string& file) {
  std::string folder = local_folder(path);
  require_folder_with(folder, file);
  return folder;
}

}  // namespace loragrad
