// Until main() begins, the process has one processor.
//
// OpenBLAS starts a thread for each processor when it is loaded, and takes 136 MiB of addresses for each. They have nothing
// to do here, where ops/cpu shares out the work. And under a limit of memory (ulimit -v) they are its end: a thread that
// is not to be had is a signal, and one that gets no buffer asks for it again and again, also when the program leaves.
// Newer versions take the buffer of their first thread as they begin. Where there is no room for it, the process ends here.

#include <sched.h>
#include <unistd.h>

#include <cstdio>
#include <optional>

#include "engine/memory_limit.h"

namespace {

using namespace loragrad;

constexpr int exit_code = 4;  // of memory (docs/design/010)

constinit cpu_set_t processors{};
constinit bool narrowed = false;

void require_room_for_openblas() {
  constexpr std::size_t needed = std::size_t{LORAGRAD_OPENBLAS_MIB} << 20;
  if (needed == 0 || has_room(needed)) return;
  std::optional<MemoryLimit> limit = memory_limit();
  if (!limit) return;
  char text[200];
  int size =
      std::snprintf(text, sizeof text,
                    "error: memory: expected %zu MiB for OpenBLAS to begin with, found less (%zu MiB left of %s %zu "
                    "MiB): raise the limit\n",
                    needed >> 20, limit->left >> 20, limit->name, limit->bytes >> 20);
  static_cast<void>(!::write(STDERR_FILENO, text, static_cast<std::size_t>(size)));
  ::_exit(exit_code);
}

// Runs before any library's own beginning, the C library's too: only calls of the system, and what formats a number.
void narrow() {
  require_room_for_openblas();
  unsigned here = 0;
  cpu_set_t one;
  CPU_ZERO(&one);
  if (::sched_getaffinity(0, sizeof processors, &processors) != 0 || ::getcpu(&here, nullptr) != 0) return;
  CPU_SET(here, &one);
  narrowed = ::sched_setaffinity(0, sizeof one, &one) == 0;
}
[[gnu::section(".preinit_array"), gnu::used]] void (*const before_libraries)() = narrow;

[[gnu::constructor]] void widen() {
  if (narrowed) ::sched_setaffinity(0, sizeof processors, &processors);
}

}  // namespace
