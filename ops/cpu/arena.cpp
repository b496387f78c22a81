#include "ops/cpu/arena.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>

#include "engine/error.h"

namespace loragrad::cpu {

Arena::Arena() {
  // Address space costs nothing until it is touched, so the reservation may exceed what the machine has.
  std::size_t physical =
      static_cast<std::size_t>(sysconf(_SC_PHYS_PAGES)) * static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
  for (reserved_ = 4 * physical; reserved_ >= (std::size_t{1} << 28); reserved_ /= 2) {
    void* p = mmap(nullptr, reserved_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p != MAP_FAILED) {
      base_ = static_cast<std::byte*>(p);
      break;
    }
  }
  if (!base_) throw IoError(std::string("arena: cannot reserve memory: ") + std::strerror(errno));
  placement_ = Placement(reserved_);
}

Arena::~Arena() { munmap(base_, reserved_); }

}  // namespace loragrad::cpu
