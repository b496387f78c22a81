#pragma once
#include <cuda_runtime.h>

#include <memory>
#include <string_view>

#include "engine/device.h"
#include "ops/cuda/cuda_device.h"
#include "ops/cuda/status.h"

namespace loragrad::cuda {

class FileUpload;
class Memory;
class Products;
class UploadRing;

/// One GPU and its one stream: what cuda_device makes.
class Gpu final : public Device {
 public:
  explicit Gpu(const GpuOptions& options);
  Gpu(const Gpu&) = delete;
  Gpu& operator=(const Gpu&) = delete;
  ~Gpu() override;
  std::string_view name() const override { return "cuda"; }
  MemoryBlock allocate(std::size_t bytes) override;
  void release(MemoryBlock block, std::size_t bytes) noexcept override;
  std::size_t footprint() const override;
  std::size_t capacity() const override;
  void upload(void* to, HostBytes from) override;
  bool shares_host_memory() const override { return false; }
  std::size_t run_bytes(const RunSize& run) const override;
  bool has_bf16() const override { return true; }
  double seconds_of(const std::function<void()>& work) override;

  /// Where kernels are started: large uploads that were called before come first.
  cudaStream_t stream();
  Products& products() { return *products_; }
  /// Copies the host's bytes at once, and to the device in the order of the stream: for lists that kernels read.
  void upload_small(void* to, const void* from, std::size_t bytes);

 private:
  void read_back(void* to_host, const void* from, std::size_t bytes) override;

  struct Stream {
    cudaStream_t handle = nullptr;
    ~Stream();
  };
  struct Workspace {
    void* data = nullptr;
    ~Workspace();
  };

  int index_;
  // Each is gone before those above it.
  Stream stream_;
  std::unique_ptr<Memory> blocks_;
  Workspace workspace_;
  std::unique_ptr<UploadRing> ring_;
  std::unique_ptr<FileUpload> files_;
  std::unique_ptr<Products> products_;
};

/// The GPU that a kernel in ops/cuda is given: devices around one pass on the one that they wrap.
inline Gpu& gpu_of(Device& device) { return static_cast<Gpu&>(device); }

}  // namespace loragrad::cuda
