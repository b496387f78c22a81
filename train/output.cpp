#include "train/output.h"

#include <unistd.h>

#include <filesystem>

#include "engine/error.h"
#include "io/message.h"
#include "io/siblings.h"
#include "lora/files/adapter_file.h"
#include "train/earlier_output.h"

namespace loragrad {
namespace {

namespace fs = std::filesystem;

AtomicFolder::Existing checked(const std::string& path, bool overwrite) {
  std::error_code error;
  bool is_folder = fs::is_directory(path, error);
  if (earlier_output(path) == EarlierOutput::nothing)
    return is_folder ? AtomicFolder::Existing::replace : AtomicFolder::Existing::refuse;
  if (!overwrite)
    throw IoError(path_text(path) +
                  ": expected a folder that does not exist yet, found an earlier output (--overwrite replaces it)");
  return AtomicFolder::Existing::replace;
}

/// Somebody who writes there is told of before what is there so far.
AtomicFolder::Existing found(const std::string& path, bool overwrite) {
  OutputLock lock(resolved_folder(path));
  return checked(path, overwrite);
}

}  // namespace

OutputFolder::OutputFolder(const std::string& path, bool overwrite)
    : path_(path), overwrite_(overwrite), existing_(found(path, overwrite)), folder_(path, existing_) {}

std::string OutputFolder::commit() {
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

std::string OutputFolder::file(const std::string& name) const { return (fs::path(folder_.staging()) / name).string(); }

void OutputFolder::save_adapter(const Adapter& adapter, const std::string& card) {
  loragrad::save_adapter(adapter, folder_.staging());
  write_file(file("README.md"), card);
}

}  // namespace loragrad
