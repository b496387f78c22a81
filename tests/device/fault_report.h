#pragma once
#include <cstddef>

namespace loragrad::test {

/// While it lives, a fault (SIGSEGV) at one of these addresses is told on stderr, with the calls that led there, before
/// it goes to whoever handled faults before (doctest, which names the test case) or ends the process.
class FaultReport {
 public:
  FaultReport(const std::byte* begin, std::size_t size);
  FaultReport(const FaultReport&) = delete;
  FaultReport& operator=(const FaultReport&) = delete;
  ~FaultReport();
  /// Is the first again to be told: whoever runs test cases sets handlers of its own for each.
  static void come_first();

 private:
  std::size_t slot_;
};

}  // namespace loragrad::test
