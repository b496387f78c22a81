#include "train/process_memory.h"

#include <sys/resource.h>
#include <unistd.h>

#include "engine/memory_limit.h"

namespace loragrad {

std::size_t peak_resident_bytes() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  return static_cast<std::size_t>(usage.ru_maxrss) * 1024;  // Linux counts KiB
}

std::size_t resident_bytes() { return memory_used().resident; }

std::size_t physical_bytes() {
  return static_cast<std::size_t>(::sysconf(_SC_PHYS_PAGES)) * static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
}

}  // namespace loragrad
