#include "ops/cuda/gpu.h"

#include <algorithm>

#include "engine/error.h"
#include "ops/cuda/file_upload.h"
#include "ops/cuda/image.h"
#include "ops/cuda/kernels.h"
#include "ops/cuda/memory.h"
#include "ops/cuda/products.h"
#include "ops/cuda/upload_ring.h"

namespace loragrad::cuda {
namespace {

constexpr Kernels table{
#define KERNEL(name, Args) .name = {scratch_bytes, name},
    LORAGRAD_KERNELS(KERNEL)
#undef KERNEL
};

// For the products. Apart from the tensors' memory, which reaches as far as a forecast says.
constexpr std::size_t workspace_bytes = Products::workspace_bytes;
// Left to others where all that is free may be taken: the driver itself takes some as kernels are loaded.
constexpr std::size_t spare_bytes = 256 << 20;

/// For tensors: what may be taken, without the workspace.
std::size_t most_bytes(std::size_t limit) {
  std::size_t available = 0, total = 0;
  check(cudaMemGetInfo(&available, &total), "memory");
  available = available > spare_bytes ? available - spare_bytes : available / 2;
  if (limit) available = std::min(limit, available);
  if (available <= workspace_bytes)
    throw OutOfMemory("cuda: out of memory: expected more than " + std::to_string(workspace_bytes) +
                      " bytes that may be taken, found " + std::to_string(available));
  return available - workspace_bytes;
}

}  // namespace

Gpu::Gpu(const GpuOptions& options) : Device(table), index_(options.index) {
  check(cudaSetDevice(index_), "device");
  if (!has_kernels())
    throw IoError("cuda: expected a GPU that this program was compiled for (gpu_arch), found " +
                  machine().gpus.at(static_cast<std::size_t>(index_)).name);
  check(cudaStreamCreateWithFlags(&stream_.handle, cudaStreamNonBlocking), "stream");
  blocks_ = options.single_blocks ? single_blocks(stream_.handle) : mapped_arena(index_, most_bytes(options.limit));
  ring_ = std::make_unique<UploadRing>(stream_.handle);
  files_ = std::make_unique<FileUpload>(index_, stream_.handle);
  check(cudaMalloc(&workspace_.data, workspace_bytes), "memory");
  products_ = std::make_unique<Products>(workspace_.data, workspace_bytes, options.tf32);
}

Gpu::~Gpu() { cudaStreamSynchronize(stream_.handle); }

Gpu::Stream::~Stream() {
  if (handle) cudaStreamDestroy(handle);
}
Gpu::Workspace::~Workspace() { cudaFree(data); }

MemoryBlock Gpu::allocate(std::size_t bytes) { return blocks_->allocate(bytes); }
void Gpu::release(MemoryBlock block, std::size_t bytes) noexcept {
  files_->settle();  // it may be what is being copied to
  blocks_->release(block, bytes);
}
std::size_t Gpu::footprint() const { return blocks_->footprint(); }
std::size_t Gpu::capacity() const { return blocks_->limit(); }
std::size_t Gpu::run_bytes(const RunSize&) const { return workspace_bytes; }

double Gpu::seconds_of(const std::function<void()>& work) {
  stream();  // makes the GPU the thread's, to which events belong
  struct Event {
    Event() { check(cudaEventCreate(&event), "event"); }
    ~Event() { cudaEventDestroy(event); }
    cudaEvent_t event = nullptr;
  } begin, end;
  check(cudaEventRecord(begin.event, stream_.handle), "event");
  work();
  check(cudaEventRecord(end.event, stream()), "event");
  check(cudaEventSynchronize(end.event), "event");
  float milliseconds = 0;
  check(cudaEventElapsedTime(&milliseconds, begin.event, end.event), "event");
  return 1e-3 * static_cast<double>(milliseconds);
}

cudaStream_t Gpu::stream() {
  check(cudaSetDevice(index_), "device");  // the calling thread's may be another
  files_->finish();
  return stream_.handle;
}

void Gpu::upload(void* to, HostBytes from) {
  if (from.size == 0) return;
  check(cudaSetDevice(index_), "device");
  if (from.size > UploadRing::largest) return files_->upload(to, std::move(from));
  upload_small(to, from.data, from.size);
}

void Gpu::upload_small(void* to, const void* from, std::size_t bytes) {
  stream();
  ring_->upload(to, from, bytes);
}

void Gpu::read_back(void* to_host, const void* from, std::size_t bytes) {
  check(cudaMemcpyAsync(to_host, from, bytes, cudaMemcpyDeviceToHost, stream()), "download");
  check(cudaStreamSynchronize(stream_.handle), "download");
}

DevicePtr cuda_device(const GpuOptions& options) {
  const Machine& found = machine();
  if (options.index < 0 || options.index >= static_cast<int>(found.gpus.size()))
    throw UsageError(found.gpus.empty() ? "cuda: " + found.lack
                                        : "cuda: expected a GPU from 0 to " + std::to_string(found.gpus.size() - 1) +
                                              ", found " + std::to_string(options.index));
  const GpuInfo& gpu = found.gpus[static_cast<std::size_t>(options.index)];
  if (!gpu.unfit.empty()) throw UsageError("cuda: " + gpu.unfit);
  return std::make_shared<Gpu>(options);
}

}  // namespace loragrad::cuda
