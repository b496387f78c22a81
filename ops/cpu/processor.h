#pragma once
#include <optional>

#include "engine/device.h"
#include "ops/cpu/arena.h"
#include "ops/cpu/threads.h"

namespace loragrad::cpu {

/// What cpu_device and planning_device make.
class Processor final : public Device {
 public:
  enum class For { running, planning };
  Processor(int threads, For use);
  std::string_view name() const override;
  MemoryBlock allocate(std::size_t bytes) override;
  void release(MemoryBlock block, std::size_t bytes) noexcept override;
  std::size_t footprint() const override;
  std::size_t capacity() const override;
  void upload(void* to, HostBytes from) override;
  bool shares_host_memory() const override;
  std::size_t run_bytes(const RunSize& run) const override;
  bool has_bf16() const override;
  double seconds_of(const std::function<void()>& work) override;

  ThreadPool& threads() { return threads_; }

 private:
  void read_back(void* to_host, const void* from, std::size_t bytes) override;

  ThreadPool threads_;
  std::optional<Arena> arena_;  // none where it only plans
};

/// The threads of the device that a kernel in ops/cpu is given, which is a processor: devices around one pass on the
/// one that they wrap.
inline ThreadPool& threads_of(Device& device) { return static_cast<Processor&>(device).threads(); }

}  // namespace loragrad::cpu
