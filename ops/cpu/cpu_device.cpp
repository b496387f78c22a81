#include "ops/cpu/cpu_device.h"

#include <cblas.h>

#include <cstring>

#include "ops/cpu/arena.h"
#include "ops/cpu/gemm_library.h"
#include "ops/cpu/instruction_sets.h"

namespace loragrad {
namespace {

class CpuDevice final : public Device {
 public:
  explicit CpuDevice(int threads) : Device(cpu::instruction_set().kernels, threads) {
    // Our tiles are the parallelism; OpenBLAS has one setting for the whole process.
    openblas_set_num_threads(1);
  }
  std::string_view name() const override { return "cpu"; }
  MemoryBlock allocate(std::size_t bytes) override { return arena_.allocate(bytes); }
  void release(MemoryBlock block, std::size_t bytes) noexcept override { arena_.release(block, bytes); }
  std::size_t footprint() const override { return arena_.placement().highest(); }
  void upload(void* to, const void* from, std::size_t bytes) override {
    if (bytes) std::memcpy(to, from, bytes);
  }
  void download(void* to, const void* from, std::size_t bytes) override {
    if (bytes) std::memcpy(to, from, bytes);
  }
  bool has_bf16() const override { return cpu::has_bf16(); }

 private:
  cpu::Arena arena_;
};

}  // namespace

DevicePtr cpu_device(int threads) { return std::make_shared<CpuDevice>(threads > 0 ? threads : available_threads()); }

std::string_view kernel_set() { return cpu::instruction_set().name; }

std::string_view gemm_library() { return cpu::library_name(); }

}  // namespace loragrad
