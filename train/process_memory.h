#pragma once
#include <cstddef>
#include <string>

namespace loragrad {

/// The process's peak resident set, mapped pages of files included.
std::size_t peak_resident_bytes();
/// What is resident now; 0 where the system does not say.
std::size_t resident_bytes();
/// What the process may still take before the system has nothing more to give, pages of files that it can drop
/// included: MemAvailable, or what is left of the memory that a container may use (its cgroup, v1 or v2, and those
/// above it) or of a limit of the process (engine/memory_limit.h), if that is less. `proc` is another root of /proc, for
/// tests.
std::size_t available_bytes(const std::string& proc = "/proc");
/// The machine's memory.
std::size_t physical_bytes();

}  // namespace loragrad
