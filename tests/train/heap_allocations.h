#pragma once
#include <cstdint>

namespace loragrad::test {

/// Calls of operator new so far, in the whole program.
std::int64_t heap_allocations();

}  // namespace loragrad::test
