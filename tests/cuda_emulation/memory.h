#pragma once
#include <cstddef>

namespace cuda_emulation {

/// Whether an address is in memory that cudaHostAlloc gave.
bool is_pinned(const void* address);
/// Times that memory was asked for, of the device or pinned.
std::size_t allocations();
/// All that was queued, on every stream.
void run_everything();

}  // namespace cuda_emulation
