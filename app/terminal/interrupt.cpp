#include "app/terminal/interrupt.h"

#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <initializer_list>

namespace loragrad {
namespace {

std::atomic<int> caught{0};
std::atomic<bool> asked{false};  // by SIGINT or SIGTERM
static_assert(std::atomic<int>::is_always_lock_free && std::atomic<bool>::is_always_lock_free);

extern "C" void on_signal(int signal) {
  int none = 0;
  caught.compare_exchange_strong(none, signal);
  // Shell and system both tell of a terminal that is gone, and nobody is there to be impatient.
  if (signal != SIGHUP && asked.exchange(true)) _exit(128 + signal);
}

}  // namespace

void catch_interrupts() {
  struct sigaction action {};
  action.sa_handler = on_signal;
  action.sa_flags = SA_RESTART;
  sigemptyset(&action.sa_mask);
  for (int signal : {SIGINT, SIGTERM}) sigaction(signal, &action, nullptr);
  struct sigaction before {};
  // nohup ignores it on the program's behalf.
  if (sigaction(SIGHUP, nullptr, &before) == 0 && before.sa_handler != SIG_IGN) sigaction(SIGHUP, &action, nullptr);
}

int interrupted_by() { return caught.load(); }

void forget_interrupt() {
  int signal = SIGINT;
  if (caught.compare_exchange_strong(signal, 0)) asked = false;
}

void stop_if_interrupted() {
  if (int signal = interrupted_by()) throw Interrupted{signal};
}

}  // namespace loragrad
