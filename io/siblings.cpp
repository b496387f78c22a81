#include "io/siblings.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

#include "engine/error.h"
#include "io/mapped_file.h"

namespace loragrad {
namespace {

namespace fs = std::filesystem;

// File systems allow names of 255 bytes; a long one leaves no room for what we add.
constexpr std::size_t longest_name = 200;

/// "lock", "tmp" or "old" for a name that we give to siblings of `path` (for the latter two, with -PID or
/// -PID.ATTEMPT behind it); else "".
std::string kind_of(const std::string& path, const std::string& name) {
  std::string beginning = fs::path(hidden_sibling(path, ".")).filename().string();
  if (!name.starts_with(beginning)) return "";
  std::string rest = name.substr(beginning.size()), kind = rest.substr(0, rest.find('-'));
  if (rest == "lock") return rest;
  if (rest == kind || (kind != "tmp" && kind != "old")) return "";
  std::string number = rest.substr(kind.size() + 1), process = number.substr(0, number.find('.'));
  auto is_number = [](const std::string& text) {
    return !text.empty() && text.find_first_not_of("0123456789") == std::string::npos;
  };
  bool ours = is_number(process) && (number == process || is_number(number.substr(process.size() + 1)));
  return ours ? kind : "";
}

}  // namespace

std::string parent_of(const std::string& path) {
  std::string parent = fs::path(path).parent_path().string();
  return parent.empty() ? "." : parent;
}

std::string last_name(const std::string& path) {
  fs::path normal = fs::path(path).lexically_normal();
  return (normal.has_filename() ? normal : normal.parent_path()).filename().string();
}

std::string hidden_sibling(const std::string& path, const std::string& ending) {
  fs::path target(path);
  std::string name = target.filename().string();
  if (name.empty() || name == "." || name == "..") throw IoError(system_message(path, "write", EINVAL));
  return (target.parent_path() / ("." + name.substr(0, longest_name) + ending)).string();
}

std::string make_sibling(const std::string& path, const std::function<bool(const std::string&)>& create,
                         const std::string& kind) {
  std::string base = hidden_sibling(path, "." + kind + "-" + std::to_string(::getpid()));
  for (int attempt = 0; attempt < 100; ++attempt) {
    std::string sibling = attempt ? base + "." + std::to_string(attempt) : base;
    if (create(sibling)) return sibling;
    if (errno != EEXIST) break;
  }
  throw IoError(system_message(path, "write", errno));
}

void remove_whole(const std::string& path) {
  std::error_code error;
  if (!fs::exists(fs::symlink_status(path, error))) return;
  std::string old = make_sibling(
      path, [&](const std::string& name) { return ::rename(path.c_str(), name.c_str()) == 0; }, "old");
  fs::remove_all(old, error);
}

bool is_left_over(const std::string& path, const std::string& name) { return !kind_of(path, name).empty(); }

bool is_any_left_over(const std::string& name) {
  if (!name.starts_with('.')) return false;
  for (std::size_t dot = name.find('.', 1); dot != std::string::npos; dot = name.find('.', dot + 1))
    if (dot > 1 && is_left_over(name.substr(1, dot - 1), name)) return true;
  return false;
}

std::vector<fs::directory_entry> entries_of(const std::string& folder) {
  std::vector<fs::directory_entry> entries;
  std::error_code error;
  for (fs::directory_iterator at(folder, error), end; !error && at != end; at.increment(error))
    if (!is_any_left_over(at->path().filename().string())) entries.push_back(*at);
  if (error) throw IoError(system_message(folder, "read", error.value()));
  return entries;
}

void clear_folder(const std::string& folder) {
  std::vector<fs::path> left;
  std::error_code error;
  for (fs::directory_iterator at(folder, error), end; !error && at != end; at.increment(error))
    if (is_any_left_over(at->path().filename().string())) left.push_back(at->path());
  for (const fs::path& litter : left) fs::remove_all(litter, error);
}

std::string resolved_folder(const std::string& path) {
  fs::path target(path);
  if (!target.has_filename()) target = target.parent_path();
  std::error_code error;
  if (fs::is_symlink(target, error)) {
    fs::path pointed_to = fs::canonical(target, error);
    if (!error) target = pointed_to;
  }
  return target.string();
}

void clear_left_overs(const std::string& path) {
  // The siblings' names hold no more of a longer one, and may be another output's.
  if (fs::path(path).filename().string().size() > longest_name) return;
  std::error_code error;
  bool in_place = fs::exists(fs::symlink_status(path, error));
  std::vector<fs::path> left;
  for (fs::directory_iterator at(parent_of(path), error), end; !error && at != end; at.increment(error)) {
    std::string kind = kind_of(path, at->path().filename().string());
    if (kind == "tmp" || (kind == "old" && in_place)) left.push_back(at->path());
  }
  for (const fs::path& litter : left) fs::remove_all(litter, error);
}

namespace {

void sync(const std::string& path, int flags, bool must_be_there) {
  int fd = ::open(path.c_str(), flags | O_RDONLY | O_CLOEXEC);
  if (fd < 0 && (must_be_there || errno != ENOENT)) throw IoError(system_message(path, "write", errno));
  if (fd < 0) return;
  int error = ::fsync(fd) == 0 ? 0 : errno;
  ::close(fd);
  if (error != 0 && error != EINVAL) throw IoError(system_message(path, "write", error));
}

}  // namespace

void sync_folder(const std::string& folder) { sync(folder, O_DIRECTORY, true); }

void sync_file(const std::string& path) {
  std::error_code error;
  if (fs::is_regular_file(path, error)) sync(path, 0, false);
}

}  // namespace loragrad
