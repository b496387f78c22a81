#include <cuda.h>

#include <algorithm>
#include <string>
#include <vector>

#include "engine/error.h"
#include "engine/placement.h"
#include "ops/cuda/memory.h"
#include "ops/cuda/status.h"

namespace loragrad::cuda {
namespace {

/// The driver's calls, which the runtime looks up: nothing is linked to the driver, so the program starts without one.
struct Driver {
  decltype(&cuMemAddressReserve) reserve;
  decltype(&cuMemAddressFree) free;
  decltype(&cuMemCreate) create;
  decltype(&cuMemRelease) release;
  decltype(&cuMemMap) map;
  decltype(&cuMemUnmap) unmap;
  decltype(&cuMemSetAccess) set_access;
  decltype(&cuMemGetAllocationGranularity) granularity;

  Driver() {
    find("cuMemAddressReserve", reserve);
    find("cuMemAddressFree", free);
    find("cuMemCreate", create);
    find("cuMemRelease", release);
    find("cuMemMap", map);
    find("cuMemUnmap", unmap);
    find("cuMemSetAccess", set_access);
    find("cuMemGetAllocationGranularity", granularity);
  }

 private:
  template <class F>
  static void find(const char* name, F& function) {
    void* address = nullptr;
    constexpr unsigned first_version = 10020;  // CUDA 10.2 has all of them
    check(cudaGetDriverEntryPointByVersion(name, &address, first_version, cudaEnableDefault), name);
    if (!address) throw IoError("cuda: " + std::string(name) + ": expected a driver that has it, found none");
    function = reinterpret_cast<F>(address);
  }
};

void check_driver(CUresult status, const char* what) {
  if (status != CUDA_SUCCESS)
    throw IoError("cuda: " + std::string(what) + ": error " + std::to_string(static_cast<int>(status)) +
                  " of the driver");
}

class MappedArena final : public Memory {
 public:
  MappedArena(int gpu, std::size_t limit) {
    memory_.type = CU_MEM_ALLOCATION_TYPE_PINNED;
    memory_.location = {CU_MEM_LOCATION_TYPE_DEVICE, gpu};
    check_driver(driver_.granularity(&page_, &memory_, CU_MEM_ALLOC_GRANULARITY_MINIMUM), "memory");
    limit_ = limit / page_ * page_;
    if (limit_ == 0)
      throw IoError("cuda: expected at least " + std::to_string(page_) + " bytes of its memory, found " +
                    std::to_string(limit));
    placement_ = Placement(limit_);
    check_driver(driver_.reserve(&base_, limit_, 0, 0, 0), "address space");
  }
  ~MappedArena() override {
    for (std::size_t size : mapped_) driver_.unmap(base_ + (end_ -= size), size);
    driver_.free(base_, limit_);
  }

  MemoryBlock allocate(std::size_t bytes) override {
    std::size_t offset = 0;
    try {
      offset = placement_.take(bytes);
    } catch (const IoError&) {
      out_of_memory(bytes);
    }
    try {
      if (offset + bytes > end_) grow(offset + bytes, bytes);
    } catch (...) {
      placement_.give_back(offset, bytes);
      throw;
    }
    return {reinterpret_cast<void*>(base_ + offset), offset};
  }
  void release(MemoryBlock block, std::size_t bytes) noexcept override { placement_.give_back(block.offset, bytes); }
  std::size_t footprint() const override { return std::min(placement_.highest(), end_); }
  std::size_t limit() const override { return limit_; }

 private:
  /// As far as `reach` for a block of `bytes`: by a 64th of what there is, so that a large model takes few calls, or by
  /// what is needed.
  void grow(std::size_t reach, std::size_t bytes) {
    std::size_t least = in_pages(reach - end_), size = std::max(least, in_pages(end_ / 64));
    CUmemGenericAllocationHandle handle;
    CUresult status = CUDA_ERROR_OUT_OF_MEMORY;
    if (end_ + size <= limit_) status = driver_.create(&handle, size, &memory_, 0);
    if (status != CUDA_SUCCESS) status = driver_.create(&handle, size = least, &memory_, 0);
    if (status == CUDA_ERROR_OUT_OF_MEMORY) out_of_memory(bytes);
    check_driver(status, "memory");
    CUmemAccessDesc access{memory_.location, CU_MEM_ACCESS_FLAGS_PROT_READWRITE};
    status = driver_.map(base_ + end_, size, 0, handle, 0);
    driver_.release(handle);  // it lives as long as it is mapped
    check_driver(status, "memory");
    mapped_.insert(mapped_.begin(), size);
    end_ += size;
    check_driver(driver_.set_access(base_ + end_ - size, size, &access, 1), "memory");
  }
  std::size_t in_pages(std::size_t bytes) const { return (bytes + page_ - 1) / page_ * page_; }
  [[noreturn]] void out_of_memory(std::size_t bytes) const {
    throw OutOfMemory("cuda: out of memory: expected " + std::to_string(bytes) + " bytes more, found " +
                      std::to_string(end_) + " in use of " + std::to_string(limit_) + " that may be taken");
  }

  Driver driver_;
  CUmemAllocationProp memory_{};
  CUdeviceptr base_ = 0;
  std::size_t page_ = 0, limit_ = 0, end_ = 0;
  std::vector<std::size_t> mapped_;  // sizes, the last first
  Placement placement_{0};
};

}  // namespace

std::unique_ptr<Memory> mapped_arena(int gpu, std::size_t limit) { return std::make_unique<MappedArena>(gpu, limit); }

}  // namespace loragrad::cuda
