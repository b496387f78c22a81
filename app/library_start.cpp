// Until main() begins, the process has one processor.
//
// OpenBLAS starts a thread for each processor when it is loaded, and takes 136 MiB of addresses for each. They have nothing
// to do here, where ops/cpu shares out the work. And under a limit of memory (ulimit -v) they are its end: a thread that
// is not to be had is a signal, and one that gets no buffer asks for it again and again, also when the program leaves.

#include <sched.h>

namespace {

constinit cpu_set_t processors{};
constinit bool narrowed = false;

// Runs before any library's own beginning, the C library's too: only calls of the system.
void narrow() {
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
