#pragma once
// Threads: any thread may ask.
#include <cstddef>
#include <optional>
#include <string>

namespace loragrad {

/// Bytes that the process has mapped: all, those in memory, and those that it writes to. Zeros where /proc cannot be read.
/// Takes no memory, which may be what is short.
struct MemoryUsed {
  std::size_t addresses, resident, data;
};
MemoryUsed memory_used() noexcept;

/// A limit that the process has on the memory it may map (setrlimit): one on all addresses, or one on those that it
/// writes to. Whoever started it set it, and what would go beyond is refused by the system.
struct MemoryLimit {
  const char* name;   ///< "ulimit -v" or "ulimit -d"
  std::size_t bytes;  ///< the limit
  std::size_t left;   ///< of it, now
};

/// The limit of which least is left; none where there is none.
std::optional<MemoryLimit> memory_limit();

/// " (4 MiB left of ulimit -v 300 MiB)", "" without a limit: for the end of a message about memory.
std::string limit_text();

/// True where the system would give the process so many bytes more.
bool has_room(std::size_t bytes) noexcept;

/// Libraries do not expect that memory ends: they crash, or ask for ever. So room is seen to before they are called.
/// OutOfMemory that names what the bytes are for, unless has_room(bytes).
void require_room(std::size_t bytes, const char* what);

/// OutOfMemory of require_room, for who has seen already that there is none.
[[noreturn]] void fail_for_room(std::size_t bytes, const char* what);

}  // namespace loragrad
