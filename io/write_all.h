#pragma once
#include <cstddef>
#include <string_view>

namespace loragrad {

/// write(2) until all of it is written: 0, or the errno of what went wrong. Interrupted and short writes go on; where a
/// pipe or terminal takes nothing at the moment, it waits. Beyond a file-size limit (RLIMIT_FSIZE) the result is EFBIG,
/// and the signal that comes with it is taken away, whatever the process has set for it.
int write_all(int fd, const void* data, std::size_t size) noexcept;
inline int write_all(int fd, std::string_view text) noexcept { return write_all(fd, text.data(), text.size()); }

}  // namespace loragrad
