#include "io/fnv.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <vector>

#include "engine/error.h"
#include "io/mapped_file.h"

namespace loragrad {

std::string Fnv1a::text() const { return fmt::format("{:016x}", value_); }

std::string file_hash(const std::string& path) {
  int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) throw IoError(system_message(path, "read", errno));
  Fnv1a hash;
  std::vector<char> piece(1 << 18);
  ssize_t count = 0;
  do {
    count = ::read(fd, piece.data(), piece.size());
    if (count > 0) hash.add({piece.data(), static_cast<std::size_t>(count)});
  } while (count > 0 || (count < 0 && errno == EINTR));
  int error = count < 0 ? errno : 0;
  ::close(fd);
  if (error != 0) throw IoError(system_message(path, "read", error));
  return hash.text();
}

}  // namespace loragrad
