#include "io/mapped_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdint>
#include <map>
#include <mutex>
#include <system_error>
#include <tuple>
#include <utility>

#include "engine/error.h"
#include "engine/memory_limit.h"
#include "io/file_content.h"
#include "io/message.h"

namespace loragrad {
namespace {

/// What a file is known by while it does not change: path, device, inode, size, when it was written.
using Identity = std::tuple<std::string, dev_t, ino_t, off_t, time_t, long>;

/// An open regular file and its size.
struct OpenFile {
  explicit OpenFile(const std::string& path) {
    // Without O_NONBLOCK a named pipe would make us wait for its writer.
    fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) throw IoError(system_message(path, "read", errno));
    struct stat status {};
    if (::fstat(fd, &status) != 0) fail(system_message(path, "read", errno));
    if (S_ISDIR(status.st_mode)) fail(path_text(path) + ": expected a file, found a folder");
    if (!S_ISREG(status.st_mode)) fail(path_text(path) + ": expected a regular file, found a pipe, socket or device");
    size = static_cast<std::size_t>(status.st_size);
    identity = {path, status.st_dev, status.st_ino, status.st_size, status.st_mtim.tv_sec, status.st_mtim.tv_nsec};
  }
  OpenFile(const OpenFile&) = delete;
  OpenFile& operator=(const OpenFile&) = delete;
  ~OpenFile() {
    if (fd >= 0) ::close(fd);
  }

  int fd = -1;
  std::size_t size = 0;
  Identity identity;

 private:
  [[noreturn]] void fail(const std::string& message) {
    ::close(fd);
    throw IoError(message);
  }
};

/// Where files are mapped, for readers that may not wait, such as a signal handler: entries are taken and given back,
/// and never freed.
struct Mapping {
  std::atomic<bool> taken{true};
  std::atomic<const std::byte*> begin{nullptr};  // null while the others are being set
  std::atomic<std::size_t> size{0};
  std::atomic<const char*> cut_short{nullptr};
  Mapping* next = nullptr;
};
constinit std::atomic<Mapping*> mappings{nullptr};

Mapping& free_mapping() {
  for (Mapping* m = mappings; m; m = m->next)
    if (!m->taken.exchange(true)) return *m;
  auto* added = new Mapping;
  added->next = mappings;
  while (!mappings.compare_exchange_weak(added->next, added)) {
  }
  return *added;
}

void enter(const std::byte* begin, std::size_t size, const char* cut_short) {
  Mapping& m = free_mapping();
  m.size = size;
  m.cut_short = cut_short;
  m.begin = begin;
}

void leave(const std::byte* begin) {
  for (Mapping* m = mappings; m; m = m->next) {
    if (m->begin != begin) continue;
    m->begin = nullptr;
    m->taken = false;
    return;
  }
}

}  // namespace

const char* cut_short_in(const void* begin, std::size_t bytes) noexcept {
  auto first = reinterpret_cast<std::uintptr_t>(begin);
  for (const Mapping* m = mappings; m; m = m->next) {
    auto at = reinterpret_cast<std::uintptr_t>(m->begin.load());
    if (at != 0 && first < at + m->size && at < first + bytes) return m->cut_short;
  }
  return nullptr;
}

const char* cut_short_at(const void* address) noexcept { return cut_short_in(address, 1); }

std::shared_ptr<const MappedFile> MappedFile::open(const std::string& path) {
  OpenFile file(path);
  // A model is opened again for each of its outlines: were it mapped again, a limit of addresses would be reached sooner.
  static std::mutex mutex;
  static std::map<Identity, std::weak_ptr<const MappedFile>> mapped;
  std::lock_guard lock(mutex);
  std::erase_if(mapped, [](const auto& known) { return known.second.expired(); });
  if (auto known = mapped.find(file.identity); known != mapped.end())
    if (auto map = known->second.lock()) return map;
  std::shared_ptr<MappedFile> map(new MappedFile());
  map->path_ = path;
  if (file.size == 0) return map;  // mmap refuses an empty range
  void* address = ::mmap(nullptr, file.size, PROT_READ, MAP_SHARED, file.fd, 0);
  if (address == MAP_FAILED) throw IoError(system_message(path, "map", errno));
  map->data_ = static_cast<const std::byte*>(address);
  map->size_ = file.size;
  map->cut_short_ = path_text(path) + ": cannot read: it was cut short, or its disk failed, while it was in use";
  map->descriptor_ = std::exchange(file.fd, -1);
  enter(map->data_, map->size_, map->cut_short_.c_str());
  // A look at a large file would make some of it resident.
  if (map->size_ <= largest_lfs_pointer) refuse_other_content(path, map->text(), Content::any);
  mapped.emplace(file.identity, map);
  return map;
}

MappedFile::~MappedFile() {
  if (!data_) return;
  leave(data_);
  ::munmap(const_cast<std::byte*>(data_), size_);
  ::close(descriptor_);
}

void MappedFile::let_go(const std::byte* begin, std::size_t bytes) const {
  auto page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
  std::size_t first = (static_cast<std::size_t>(begin - data_) + page - 1) / page * page;
  std::size_t last = static_cast<std::size_t>(begin + bytes - data_) / page * page;
  // Only a wish: where it is not granted, the pages stay.
  if (first < last) ::madvise(const_cast<std::byte*>(data_) + first, last - first, MADV_DONTNEED);
}

bool is_there(const std::filesystem::path& path) {
  std::error_code error;
  return std::filesystem::exists(std::filesystem::symlink_status(path, error));
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
  return path_text(path) + ": cannot " + std::string(what) + ": " + std::generic_category().message(error) +
         (error == ENOMEM ? limit_text() : "");
}

}  // namespace loragrad
