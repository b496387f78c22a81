#pragma once
#include <cstddef>

namespace loragrad {

/// The process's peak resident set, mapped pages of files included.
std::size_t peak_resident_bytes();
/// What is resident now; 0 where the system does not say.
std::size_t resident_bytes();
/// The machine's memory.
std::size_t physical_bytes();

}  // namespace loragrad
