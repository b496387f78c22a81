#include "io/mapped_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>

#include "engine/error.h"
#include "io/file_content.h"
#include "io/json.h"

namespace loragrad {
namespace {

/// An open regular file and its size.
struct OpenFile {
  explicit OpenFile(const std::string& path) {
    // Without O_NONBLOCK a named pipe would make us wait for its writer.
    fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) throw IoError(system_message(path, "read", errno));
    struct stat status {};
    if (::fstat(fd, &status) != 0) fail(system_message(path, "read", errno));
    if (S_ISDIR(status.st_mode)) fail(escaped(path, 4096) + ": expected a file, found a folder");
    if (!S_ISREG(status.st_mode))
      fail(escaped(path, 4096) + ": expected a regular file, found a pipe, socket or device");
    size = static_cast<std::size_t>(status.st_size);
  }
  OpenFile(const OpenFile&) = delete;
  OpenFile& operator=(const OpenFile&) = delete;
  ~OpenFile() { ::close(fd); }

  int fd = -1;
  std::size_t size = 0;

 private:
  [[noreturn]] void fail(const std::string& message) {
    ::close(fd);
    throw IoError(message);
  }
};

}  // namespace

std::shared_ptr<const MappedFile> MappedFile::open(const std::string& path) {
  OpenFile file(path);
  std::shared_ptr<MappedFile> map(new MappedFile());
  map->path_ = path;
  if (file.size == 0) return map;  // mmap refuses an empty range
  void* address = ::mmap(nullptr, file.size, PROT_READ, MAP_SHARED, file.fd, 0);
  if (address == MAP_FAILED) throw IoError(system_message(path, "map", errno));
  map->data_ = static_cast<const std::byte*>(address);
  map->size_ = file.size;
  // A look at a large file would make some of it resident.
  if (map->size_ <= largest_lfs_pointer) refuse_other_content(path, map->text(), Content::any);
  return map;
}

MappedFile::~MappedFile() {
  if (data_) ::munmap(const_cast<std::byte*>(data_), size_);
}

void MappedFile::let_go(const std::byte* begin, std::size_t bytes) const {
  auto page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
  std::size_t first = (static_cast<std::size_t>(begin - data_) + page - 1) / page * page;
  std::size_t last = static_cast<std::size_t>(begin + bytes - data_) / page * page;
  // Only a wish: where it is not granted, the pages stay.
  if (first < last) ::madvise(const_cast<std::byte*>(data_) + first, last - first, MADV_DONTNEED);
}

std::string read_file(const std::string& path) {
  OpenFile file(path);
  std::string text(file.size, '\0');
  std::size_t done = 0;
  while (done < text.size()) {
    ssize_t count = ::read(file.fd, text.data() + done, text.size() - done);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) throw IoError(system_message(path, "read", errno));
    if (count == 0) break;  // cut short meanwhile
    done += static_cast<std::size_t>(count);
  }
  text.resize(done);
  refuse_other_content(path, text, Content::any);
  return text;
}

std::string system_message(const std::string& path, std::string_view what, int error) {
  return escaped(path, 4096) + ": cannot " + std::string(what) + ": " + std::generic_category().message(error);
}

}  // namespace loragrad
