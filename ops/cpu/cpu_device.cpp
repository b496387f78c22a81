#include "ops/cpu/cpu_device.h"

#include <cblas.h>

#include <chrono>
#include <cstring>
#include <limits>

#include "engine/error.h"
#include "ops/cpu/gemm_library.h"
#include "ops/cpu/instruction_sets.h"
#include "ops/cpu/processor.h"

namespace loragrad {
namespace cpu {

Processor::Processor(int threads, For use) : Device(instruction_set().kernels), threads_(threads) {
  if (use == For::planning) return;
  // Our tiles are the parallelism; OpenBLAS has one setting for the whole process.
  openblas_set_num_threads(1);
  threads_.start();
  arena_.emplace();
}

std::string_view Processor::name() const { return "cpu"; }
MemoryBlock Processor::allocate(std::size_t bytes) {
  if (!arena_) throw UsageError("planning device: expected one to run on");
  return arena_->allocate(bytes);
}
void Processor::release(MemoryBlock block, std::size_t bytes) noexcept { arena_->release(block, bytes); }
std::size_t Processor::footprint() const { return arena_ ? arena_->placement().highest() : 0; }
std::size_t Processor::capacity() const { return std::numeric_limits<std::size_t>::max(); }
void Processor::upload(void* to, HostBytes from) {
  if (from.size) std::memcpy(to, from.data, from.size);
}
void Processor::read_back(void* to, const void* from, std::size_t bytes) { std::memcpy(to, from, bytes); }
bool Processor::shares_host_memory() const { return true; }
bool Processor::has_bf16() const { return cpu::has_bf16(); }
double Processor::seconds_of(const std::function<void()>& work) {
  auto start = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

}  // namespace cpu

DevicePtr cpu_device(int threads) {
  return std::make_shared<cpu::Processor>(threads > 0 ? threads : available_threads(), cpu::Processor::For::running);
}

DevicePtr planning_device(int threads) {
  return std::make_shared<cpu::Processor>(threads, cpu::Processor::For::planning);
}

std::string_view kernel_set() { return cpu::instruction_set().name; }

std::string_view gemm_library() { return cpu::library_name(); }

}  // namespace loragrad
