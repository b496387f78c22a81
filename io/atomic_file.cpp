#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "engine/error.h"
#include "io/atomic.h"
#include "io/mapped_file.h"
#include "io/siblings.h"
#include "io/write_all.h"

namespace loragrad {

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
  int error = write_all(fd_, data, size);
  // The system reads what it writes: a mapped file that was cut short meanwhile is not the output's fault.
  if (error == EFAULT)
    if (const char* cut = cut_short_in(data, size)) throw IoError(cut);
  if (error != 0) throw IoError(system_message(path_, "write", error));
}

void AtomicFile::write_at(std::size_t offset, const void* data, std::size_t size) {
  if (::lseek(fd_, static_cast<off_t>(offset), SEEK_SET) < 0) throw IoError(system_message(path_, "write", errno));
  write(data, size);
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
