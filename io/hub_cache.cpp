#include "io/hub_cache.h"

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <vector>

#include "io/mapped_file.h"
#include "io/message.h"

namespace loragrad {
namespace {

namespace fs = std::filesystem;

std::string variable(const char* name) {
  const char* value = std::getenv(name);
  return value ? value : "";
}

bool is_folder(const fs::path& path) {
  std::error_code error;
  return fs::is_directory(path, error);
}

/// Names of the folders in a folder, sorted.
std::vector<std::string> folders_in(const fs::path& folder) {
  std::vector<std::string> names;
  std::error_code error;
  for (fs::directory_iterator at(folder, error), end; !error && at != end; at.increment(error))
    if (is_folder(at->path())) names.push_back(at->path().filename().string());
  std::sort(names.begin(), names.end());
  return names;
}

std::string prefix_of(HubKind kind) { return kind == HubKind::model ? "models--" : "datasets--"; }

/// "ORG/NAME" of "models--ORG--NAME".
std::string name_of(const std::string& folder, HubKind kind) {
  std::string name = folder.substr(prefix_of(kind).size());
  if (std::size_t at = name.find("--"); at != std::string::npos) name.replace(at, 2, "/");
  return name;
}

/// "models--ORG--NAME" of "ORG/NAME".
std::string folder_of(std::string name, HubKind kind) {
  if (std::size_t at = name.find('/'); at != std::string::npos) name.replace(at, 1, "--");
  return prefix_of(kind) + name;
}

/// Letters, digits, "-", "_" and ".", with "/" between.
bool has_hub_characters(const std::string& name) {
  return std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_' ||
           c == '.' || c == '/';
  });
}

/// The name that a path may be on the hub: ORG/NAME or NAME; or in an address.
std::string hub_name(std::string text, HubKind kind) {
  for (std::string start :
       {"https://huggingface.co/", "http://huggingface.co/", "huggingface.co/", "https://hf.co/", "hf://"}) {
    if (!text.starts_with(start)) continue;
    text = text.substr(start.size());
    if (text.starts_with("datasets/") && kind == HubKind::dataset) text = text.substr(9);
    // An address may go on to a branch or a file.
    std::size_t slash = text.find('/');
    if (slash != std::string::npos) text = text.substr(0, text.find_first_of("/?#", slash + 1));
    break;
  }
  while (text.ends_with("/")) text.pop_back();
  bool one_slash = std::count(text.begin(), text.end(), '/') <= 1 && !text.starts_with("/") && !text.starts_with(".");
  return one_slash && text.size() <= 200 && has_hub_characters(text) ? text : "";
}

std::string download(const std::string& name, HubKind kind) {
  return "hf download " + name + (kind == HubKind::dataset ? " --repo-type dataset" : "");
}

/// Of a repository's folder in the cache.
std::string repository_hint(const fs::path& repository) {
  std::string snapshot = hub_snapshot(repository.string());
  if (!snapshot.empty()) return ": a repository of the hub's cache; take its snapshot " + snapshot;
  std::vector<std::string> all = folders_in(repository / "snapshots");
  if (all.empty()) return ": a repository of the hub's cache without a snapshot; download it again";
  return ": a repository of the hub's cache; take one of its snapshots/: " + list_text(all, 120);
}

/// Of the cache, which holds repositories.
std::string cache_hint(const fs::path& cache, HubKind kind) {
  std::vector<std::string> names, folders;
  for (const std::string& folder : folders_in(cache)) {
    if (!folder.starts_with(prefix_of(kind))) continue;
    folders.push_back(folder);
    names.push_back(name_of(folder, kind));
  }
  if (names.empty()) return "";
  std::string snapshot = names.size() == 1 ? hub_snapshot((cache / folders[0]).string()) : "";
  if (!snapshot.empty()) return ": the hub's cache; take the snapshot " + snapshot;
  return ": the hub's cache; take a snapshot of " + list_text(names, 120) + " in its snapshots/";
}

/// The snapshot of a name on the hub that the cache has, where no file or folder has that name; else "".
std::string cached_snapshot(const std::string& path, HubKind kind) {
  std::error_code error;
  std::string cache = hub_cache_folder(), name = hub_name(path, kind);
  if (cache.empty() || name.empty() || fs::exists(fs::symlink_status(path, error))) return "";
  return hub_snapshot((fs::path(cache) / folder_of(name, kind)).string());
}

/// The repository of ".../models--ORG--NAME/snapshots/REVISION".
std::optional<std::string> snapshot_id(const fs::path& path) {
  for (auto part = path.begin(); part != path.end(); ++part) {
    auto next = std::next(part);
    bool holds_snapshots = next != path.end() && *next == "snapshots";
    if (std::string name = part->string(); holds_snapshots && name.starts_with(prefix_of(HubKind::model)))
      return name_of(name, HubKind::model);
  }
  return std::nullopt;
}

}  // namespace

std::string hub_cache_folder() {
  for (const char* name : {"HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"})
    if (std::string folder = variable(name); !folder.empty()) return folder;
  if (std::string home = variable("HF_HOME"); !home.empty()) return home + "/hub";
  if (std::string cache = variable("XDG_CACHE_HOME"); !cache.empty()) return cache + "/huggingface/hub";
  if (std::string home = variable("HOME"); !home.empty()) return home + "/.cache/huggingface/hub";
  return "";
}

std::string hub_snapshot(const std::string& repository) {
  fs::path snapshots = fs::path(repository) / "snapshots", ref = fs::path(repository) / "refs/main";
  std::error_code error;
  if (fs::is_regular_file(ref, error) && fs::file_size(ref, error) < 200) {
    std::string commit = read_file(ref.string());
    commit = commit.substr(0, commit.find_first_of("\r\n/"));
    if (!commit.empty() && commit[0] != '.' && is_folder(snapshots / commit)) return (snapshots / commit).string();
  }
  std::vector<std::string> all = folders_in(snapshots);
  return all.size() == 1 ? (snapshots / all[0]).string() : "";
}

std::string local_folder(const std::string& path) {
  std::string snapshot = cached_snapshot(path, HubKind::model);
  return snapshot.empty() ? path : snapshot;
}

std::string hub_hint(const std::string& path, HubKind kind) {
  fs::path at = fs::path(path).lexically_normal();
  if (!at.has_filename()) at = at.parent_path();  // "DIR/"
  if (is_folder(at)) {
    if (is_folder(at / "snapshots")) return repository_hint(at);
    std::string name = at.filename().string();
    if ((name == "snapshots" || name == "blobs" || name == "refs") && is_folder(at.parent_path() / "snapshots"))
      return repository_hint(at.parent_path());
    std::string hint = cache_hint(at, kind);
    return hint.empty() ? cache_hint(at / "hub", kind) : hint;
  }
  if (std::string snapshot = cached_snapshot(path, kind); !snapshot.empty())
    return ": the hub's cache has it as " + snapshot;
  std::error_code error;
  std::string name = fs::exists(at, error) ? "" : hub_name(path, kind);
  // A name without an organisation is more often a folder's, mistyped.
  if (name.find('/') == std::string::npos) return "";
  return ": if it is on the hub, " + download(name, kind) +
         (kind == HubKind::model ? " brings it here" : " prints the folder to give");
}

std::optional<std::string> hub_id(const std::string& name_or_path) {
  fs::path path(name_or_path);
  std::error_code error;
  if (auto id = snapshot_id(path)) return id;
  if (fs::exists(path, error)) return snapshot_id(fs::weakly_canonical(path, error));
  bool two_parts = std::count(name_or_path.begin(), name_or_path.end(), '/') == 1 && name_or_path.front() != '/' &&
                   name_or_path.back() != '/' && name_or_path.front() != '.';
  return two_parts && has_hub_characters(name_or_path) ? std::optional(name_or_path) : std::nullopt;
}

std::string base_name_of(const std::string& folder) {
  std::error_code error;
  return fs::exists(folder, error) ? hub_id(folder).value_or(folder) : folder;
}

bool same_hub_id(std::string a, std::string b) {
  for (std::string* id : {&a, &b})
    for (char& c : *id) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  auto name = [](const std::string& id) { return id.substr(id.find('/') + 1); };
  bool both_full = a.find('/') != std::string::npos && b.find('/') != std::string::npos;
  return both_full ? a == b : name(a) == name(b);
}

}  // namespace loragrad
