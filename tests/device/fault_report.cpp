#include "tests/device/fault_report.h"

#include <execinfo.h>
#include <signal.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <cstring>

namespace loragrad::test {
namespace {

struct Watched {
  std::atomic<std::uintptr_t> begin = 0, end = 0;
};
std::array<Watched, 256> watched;
struct sigaction before;

void say(const char* text) { (void)!write(STDERR_FILENO, text, std::strlen(text)); }
void say_hex(std::uintptr_t number) {
  char text[19] = "0x";
  int at = 2;
  for (int shift = 60; shift >= 0; shift -= 4)
    if (number >> shift != 0 || shift == 0) text[at++] = "0123456789abcdef"[number >> shift & 15];
  text[at] = 0;
  say(text);
}

void on_fault(int, siginfo_t* info, void*) {
  auto address = reinterpret_cast<std::uintptr_t>(info->si_addr);
  for (const Watched& w : watched) {
    if (address < w.begin || address >= w.end) continue;
    say("\nwalled device: host access to the device's memory outside a kernel, an upload or a download, at byte ");
    say_hex(address - w.begin);
    say("; called from (addr2line -Cfe PROGRAM +0x...):\n");
    void* calls[32];
    backtrace_symbols_fd(calls, backtrace(calls, 32), STDERR_FILENO);
  }
  // On return the access is made again.
  sigaction(SIGSEGV, &before, nullptr);
}

}  // namespace

FaultReport::FaultReport(const std::byte* begin, std::size_t size) {
  void* call;
  backtrace(&call, 1);  // loads what it needs now, not in the handler
  auto first = reinterpret_cast<std::uintptr_t>(begin);
  for (slot_ = 0; slot_ < watched.size(); ++slot_) {
    std::uintptr_t none = 0;
    if (!watched[slot_].end.compare_exchange_strong(none, first + size)) continue;
    watched[slot_].begin = first;
    return;
  }
  std::abort();  // so many at once are a leak
}

FaultReport::~FaultReport() { watched[slot_].begin = 0, watched[slot_].end = 0; }

void FaultReport::come_first() {
  struct sigaction now;
  sigaction(SIGSEGV, nullptr, &now);
  if ((now.sa_flags & SA_SIGINFO) && now.sa_sigaction == on_fault) return;
  before = now;
  struct sigaction ours {};
  ours.sa_sigaction = on_fault;
  ours.sa_flags = SA_SIGINFO | SA_ONSTACK;
  sigaction(SIGSEGV, &ours, nullptr);
}

}  // namespace loragrad::test
