#include <dlfcn.h>
#include <unistd.h>

#include <algorithm>

/// To be loaded before a program: it sees a machine of 128 MiB, and its arenas reserve little. An emulator keeps a note
/// of each page that is reserved (qemu before 8).
extern "C" long sysconf(int name) noexcept {
  static const auto real = reinterpret_cast<long (*)(int)>(dlsym(RTLD_NEXT, "sysconf"));
  long value = real(name);
  return name == _SC_PHYS_PAGES ? std::min(value, (128L << 20) / real(_SC_PAGESIZE)) : value;
}
