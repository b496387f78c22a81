#pragma once
#include <cstddef>
#include <memory>

#include "engine/device.h"
#include "engine/placement.h"
#include "tests/device/fault_report.h"

namespace loragrad::test {

/// Memory that can be read and written while it is open only. On huge pages, of which there are few to open and close.
class WalledMemory {
 public:
  WalledMemory();
  WalledMemory(const WalledMemory&) = delete;
  WalledMemory& operator=(const WalledMemory&) = delete;
  ~WalledMemory();
  MemoryBlock allocate(std::size_t bytes);
  void release(MemoryBlock block, std::size_t bytes) noexcept { placement_.give_back(block.offset, bytes); }
  std::size_t footprint() const { return placement_.highest(); }
  bool has(const void* address) const;

  /// Open while it lives.
  class Opening {
   public:
    explicit Opening(WalledMemory& memory);
    Opening(const Opening&) = delete;
    Opening& operator=(const Opening&) = delete;
    ~Opening();

   private:
    WalledMemory& memory_;
    std::size_t size_;
  };

 private:
  std::byte *mapped_ = nullptr, *base_ = nullptr;
  Placement placement_;
  std::unique_ptr<FaultReport> report_;
};

}  // namespace loragrad::test
