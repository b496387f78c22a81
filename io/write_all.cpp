#include "io/write_all.h"

#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <ctime>

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

void wait_until_writable(int fd) {
  pollfd entry{.fd = fd, .events = POLLOUT, .revents = 0};
  ::poll(&entry, 1, -1);
}

}  // namespace

int write_all(int fd, const void* data, std::size_t size) noexcept {
  FileSizeSignalHeld held;
  const char* next = static_cast<const char*>(data);
  while (size > 0) {
    // Linux writes at most 2 GiB at once.
    ssize_t count = ::write(fd, next, std::min<std::size_t>(size, std::size_t{1} << 30));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0 && errno == EAGAIN) {
      wait_until_writable(fd);
      continue;
    }
    if (count <= 0) return count < 0 ? errno : EIO;
    next += count;
    size -= static_cast<std::size_t>(count);
  }
  return 0;
}

}  // namespace loragrad
