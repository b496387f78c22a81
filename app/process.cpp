#include "app/process.h"

#include <fcntl.h>
#include <malloc.h>
#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstring>

#include "app/terminal/console.h"
#include "engine/error.h"
#include "engine/memory_limit.h"
#include "io/mapped_file.h"

namespace loragrad {
namespace {

void open_standard_descriptors() {
  for (int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    if (::fcntl(fd, F_GETFD) >= 0 || errno != EBADF) continue;
    // The lowest number that is free is this one. Without /dev: something that takes no bytes.
    if (::open("/dev/null", O_RDWR) < 0) ::open("/", O_PATH | O_DIRECTORY);
  }
}

void put(const char* text) { [[maybe_unused]] ssize_t ignored = ::write(STDERR_FILENO, text, std::strlen(text)); }

// Runs in the thread that read the page, in the middle of anything: only calls that are safe there.
extern "C" void on_bus_error(int signal, siginfo_t* info, void*) {
  // One that kill() sent has no address.
  if (const char* message = info->si_code > 0 ? cut_short_at(info->si_addr) : nullptr) {
    // Several threads may come here at once, and one line is enough.
    static std::atomic_flag first = ATOMIC_FLAG_INIT;
    if (first.test_and_set())
      for (;;) ::pause();
    end_progress_line();
    put("error: ");
    put(message);
    put("\n");
    ::_exit(static_cast<int>(ErrorKind::io));
  }
  // A fault of another kind happens again, now with the system's own answer.
  struct sigaction action {};
  action.sa_handler = SIG_DFL;
  ::sigaction(signal, &action, nullptr);
  if (info->si_code <= 0) ::raise(signal);
}

/// Under a limit of memory addresses are dear. The C library takes 64 MiB of them for each thread that allocates; one
/// heap does. And a stack that grows when none are left is a crash: some of it is there beforehand.
void prepare_for_limit() {
  if (!memory_limit()) return;
  ::mallopt(M_ARENA_MAX, 1);
  constexpr std::size_t stack = std::size_t{512} << 10;
  auto* touched = static_cast<volatile char*>(__builtin_alloca(stack));
  for (std::size_t at = stack; at > 0; at -= 4096) touched[at - 4096] = 0;
}

}  // namespace

void prepare_process() {
  open_standard_descriptors();
  prepare_for_limit();
  struct sigaction action {};
  action.sa_handler = SIG_IGN;
  for (int signal : {SIGPIPE, SIGXFSZ}) ::sigaction(signal, &action, nullptr);
  action = {};
  action.sa_sigaction = on_bus_error;
  action.sa_flags = SA_SIGINFO;
  sigemptyset(&action.sa_mask);
  ::sigaction(SIGBUS, &action, nullptr);
}

}  // namespace loragrad
