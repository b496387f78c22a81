#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "engine/error.h"
#include "io/atomic.h"
#include "io/json.h"
#include "io/mapped_file.h"
#include "io/message.h"
#include "io/siblings.h"

namespace loragrad {
namespace {

bool knows_no_locks(int error) { return error == ENOSYS || error == EOPNOTSUPP || error == ENOLCK; }

/// What a lock's file holds, as far as a process id goes and one byte more.
std::string content_of(int fd) {
  std::array<char, 21> text{};
  ssize_t count = ::pread(fd, text.data(), text.size(), 0);
  return {text.data(), static_cast<std::size_t>(std::max<ssize_t>(0, count))};
}

}  // namespace

OutputLock::OutputLock(const std::string& path) : lock_(hidden_sibling(path, ".lock")) {
  bool held = false;
  for (;;) {
    fd_ = ::open(lock_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0666);
    if (fd_ < 0) throw IoError(system_message(path, "write", errno));
    held = ::flock(fd_, LOCK_EX | LOCK_NB) == 0;
    if (!held && !knows_no_locks(errno)) {
      int error = errno;
      std::string holder = content_of(fd_);
      ::close(fd_);
      if (error != EWOULDBLOCK) throw IoError(system_message(path, "lock", error));
      throw IoError(path_text(path) + ": expected an output that no other process writes, found " +
                    (holder.empty() ? "another" : "process " + escaped(holder)) + " writing it");
    }
    // The holder before us removes the file as it leaves: a lock on a file without a name keeps nobody out.
    struct stat ours {
    }, named{};
    if (::fstat(fd_, &ours) == 0 && ::stat(lock_.c_str(), &named) == 0 && ours.st_ino == named.st_ino &&
        ours.st_dev == named.st_dev)
      break;
    ::close(fd_);
  }
  if (std::string id = content_of(fd_); id.size() > 20 || id.find_first_not_of("0123456789") != std::string::npos) {
    ::close(fd_);
    throw IoError(path_text(lock_) + ": expected no file, or the lock of an earlier run, found something else");
  }
  if (held) clear_left_overs(path);
  // The process id only serves the message above: a full disk does not matter.
  std::string id = std::to_string(::getpid());
  if (::ftruncate(fd_, 0) != 0 || ::pwrite(fd_, id.data(), id.size(), 0) < 0) return;
}

OutputLock::~OutputLock() {
  ::unlink(lock_.c_str());
  ::close(fd_);
}

}  // namespace loragrad
