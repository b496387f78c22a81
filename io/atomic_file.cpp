#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <ctime>

#include "engine/error.h"
#include "io/atomic.h"
#include "io/mapped_file.h"
#include "io/siblings.h"

namespace loragrad {
namespace {

/// write(2) beyond RLIMIT_FSIZE sends SIGXFSZ, which by default ends the process. Held back in this thread while a
/// write runs and then taken away, it leaves only the error code.
class FileSizeSignalHeld {
 public:
  FileSizeSignalHeld() {
    sigemptyset(&signal_);
    sigaddset(&signal_, SIGXFSZ);
    pthread_sigmask(SIG_BLOCK, &signal_, &before_);
  }
  FileSizeSignalHeld(const FileSizeSignalHeld&) = delete;
  FileSizeSignalHeld& operator=(const FileSizeSignalHeld&) = delete;
  ~FileSizeSignalHeld() {
    timespec no_wait{};
    while (sigtimedwait(&signal_, nullptr, &no_wait) < 0 && errno == EINTR) {
    }
    pthread_sigmask(SIG_SETMASK, &before_, nullptr);
  }

 private:
  sigset_t signal_, before_;
};

}  // namespace

AtomicFile::AtomicFile(std::string path) : path_(std::move(path)) {
  // rename would refuse this only after everything has been written.
  struct stat status {};
  if (::stat(path_.c_str(), &status) == 0 && S_ISDIR(status.st_mode))
    throw IoError(system_message(path_, "write", EISDIR));
  temporary_ = make_sibling(path_, [&](const std::string& name) {
    fd_ = ::open(name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0666);
    return fd_ >= 0;
  });
}

AtomicFile::~AtomicFile() {
  if (fd_ >= 0) ::close(fd_);
  if (!committed_) ::unlink(temporary_.c_str());
}

void AtomicFile::write(const void* data, std::size_t size) {
  FileSizeSignalHeld held;
  const char* next = static_cast<const char*>(data);
  while (size > 0) {
    // Linux writes at most 2 GiB at once.
    ssize_t count = ::write(fd_, next, std::min<std::size_t>(size, std::size_t{1} << 30));
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) throw IoError(system_message(path_, "write", count < 0 ? errno : EIO));
    next += count;
    size -= static_cast<std::size_t>(count);
  }
}

void AtomicFile::commit() {
  if (::fsync(fd_) != 0) throw IoError(system_message(path_, "write", errno));
  int fd = fd_;
  fd_ = -1;
  // An interrupted close has closed, and fsync has already vouched for the bytes.
  if (::close(fd) != 0 && errno != EINTR) throw IoError(system_message(path_, "write", errno));
  if (::rename(temporary_.c_str(), path_.c_str()) != 0) throw IoError(system_message(path_, "write", errno));
  committed_ = true;
  sync_folder(parent_of(path_));
}

void write_file(const std::string& path, std::string_view content) {
  AtomicFile file(path);
  file.write(content);
  file.commit();
}

}  // namespace loragrad
