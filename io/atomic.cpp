#include "io/atomic.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>

#include "engine/error.h"
#include "io/mapped_file.h"
#include "io/message.h"
#include "io/siblings.h"

namespace loragrad {
namespace {

namespace fs = std::filesystem;

[[noreturn]] void fail(const std::string& path, int error) { throw IoError(system_message(path, "write", error)); }

/// What cannot be looked for cannot be made either: a name that is too long, above all.
bool exists(const std::string& path) {
  struct stat status {};
  if (::lstat(path.c_str(), &status) == 0) return true;
  if (errno != ENOENT) fail(path, errno);
  return false;
}

/// Whether another file system, or another part of one, begins at this folder: it cannot be renamed then.
bool is_mount(const std::string& folder) {
  struct statx status {};
  return ::statx(AT_FDCWD, folder.c_str(), 0, STATX_TYPE, &status) == 0 &&
         (status.stx_attributes & status.stx_attributes_mask & STATX_ATTR_MOUNT_ROOT) != 0;
}

/// Renames without replacing anything, or swaps the two; false where the file system knows neither.
bool rename_with(const std::string& from, const std::string& to, unsigned flag) {
  if (::renameat2(AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), flag) == 0) return true;
  if (errno != EINVAL && errno != ENOSYS) fail(to, errno);
  return false;
}

void rename_to(const std::string& from, const std::string& to) {
  if (::rename(from.c_str(), to.c_str()) != 0) fail(to, errno);
}

}  // namespace

AtomicFolder::AtomicFolder(const std::string& path, Existing existing)
    : path_(resolved_folder(path)), lock_(std::in_place, path_), existing_(existing) {
  if (exists(path_)) {
    std::error_code error;
    if (!fs::is_directory(path_, error)) throw IoError(path_text(path_) + ": expected a folder, found a file");
    if (existing == Existing::refuse)
      throw IoError(path_text(path_) + ": expected a folder that does not exist yet, found one");
    if (is_mount(path_))
      throw IoError(path_text(path_) + ": expected a folder that can be replaced, found one where something is " +
                    "mounted: name a new folder in it");
  }
  staging_ = make_sibling(path_, [](const std::string& name) { return ::mkdir(name.c_str(), 0777) == 0; });
}

AtomicFolder::~AtomicFolder() {
  std::error_code error;
  if (!committed_) fs::remove_all(staging_, error);
}

const std::string& AtomicFolder::go_beside(const std::string& ending) {
  path_ += ending;
  existing_ = Existing::refuse;
  return path_;
}

void AtomicFolder::commit() {
  std::error_code error;
  sync_folder(staging_);
  for (fs::recursive_directory_iterator at(staging_, error), end; !error && at != end; at.increment(error))
    if (at->is_directory(error) && !at->is_symlink(error)) sync_folder(at->path().string());
  if (error) fail(staging_, error.value());

  std::string old;
  if (existing_ == Existing::refuse || !exists(path_)) {
    if (!rename_with(staging_, path_, RENAME_NOREPLACE)) {
      if (exists(path_)) fail(path_, EEXIST);
      rename_to(staging_, path_);
    }
  } else if (rename_with(staging_, path_, RENAME_EXCHANGE)) {
    old = staging_;
  } else {
    // rename replaces an empty folder, so that the name is ours before the old folder goes there.
    old = make_sibling(
        path_, [](const std::string& name) { return ::mkdir(name.c_str(), 0777) == 0; }, "old");
    if (::rename(path_.c_str(), old.c_str()) != 0) {
      int reason = errno;
      ::rmdir(old.c_str());
      fail(path_, reason);
    }
    if (::rename(staging_.c_str(), path_.c_str()) != 0) {
      int reason = errno;
      rename_to(old, path_);
      fail(path_, reason);
    }
  }
  committed_ = true;
  sync_folder(parent_of(path_));
  lock_.reset();
  if (old.empty()) return;
  fs::remove_all(old, error);
  if (error)
    throw IoError(system_message(old, "remove", error.value()) + " (the new " + path_text(path_) + " is in place)");
}

}  // namespace loragrad
