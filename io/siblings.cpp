#include "io/siblings.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>

#include "engine/error.h"
#include "io/mapped_file.h"

namespace loragrad {

std::string parent_of(const std::string& path) {
  std::string parent = std::filesystem::path(path).parent_path().string();
  return parent.empty() ? "." : parent;
}

std::string hidden_sibling(const std::string& path, const std::string& ending) {
  std::filesystem::path target(path);
  std::string name = target.filename().string();
  if (name.empty() || name == "." || name == "..") throw IoError(system_message(path, "write", EINVAL));
  // File systems allow names of 255 bytes; a long one leaves no room for what we add.
  return (target.parent_path() / ("." + name.substr(0, 200) + ending)).string();
}

std::string make_sibling(const std::string& path, const std::function<bool(const std::string&)>& create) {
  std::string base = hidden_sibling(path, ".tmp-" + std::to_string(::getpid()));
  for (int attempt = 0; attempt < 100; ++attempt) {
    std::string sibling = attempt ? base + "." + std::to_string(attempt) : base;
    if (create(sibling)) return sibling;
    if (errno != EEXIST) break;
  }
  throw IoError(system_message(path, "write", errno));
}

void sync_folder(const std::string& folder) {
  int fd = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) throw IoError(system_message(folder, "write", errno));
  int error = ::fsync(fd) == 0 ? 0 : errno;
  ::close(fd);
  if (error != 0 && error != EINVAL) throw IoError(system_message(folder, "write", error));
}

}  // namespace loragrad
