#include "ops/meta_device.h"

#include <limits>

#include "engine/placement.h"

namespace loragrad {
namespace {

class MetaDevice final : public Device {
 public:
  explicit MetaDevice(DevicePtr like);
  std::string_view name() const override { return "meta"; }
  bool is_meta() const override { return true; }
  MemoryBlock allocate(std::size_t bytes) override { return {nullptr, placement_.take(bytes)}; }
  void release(MemoryBlock block, std::size_t bytes) noexcept override { placement_.give_back(block.offset, bytes); }
  std::size_t footprint() const override { return placement_.highest(); }
  void upload(void*, HostBytes) override {}
  bool shares_host_memory() const override { return like_->shares_host_memory(); }
  std::size_t run_bytes(const RunSize& run) const override { return like_->run_bytes(run); }
  bool has_bf16() const override { return like_->has_bf16(); }
  Device& like() { return *like_; }

 private:
  void read_back(void*, const void*, std::size_t) override {}

  DevicePtr like_;
  Placement placement_{std::numeric_limits<std::size_t>::max()};
};

Device& like(Device& device) { return static_cast<MetaDevice&>(device).like(); }

constexpr Kernels table{
    .gemm_workspace = [](Device& d, const GemmArgs& a) { return like(d).kernels().gemm_workspace(like(d), a); },
    .gemm = [](Device&, const GemmArgs&, void*) {},
    .accumulate = [](Device&, ConstMatrix, double, Matrix, double) {},
    .add = [](Device&, ConstMatrix, double, ConstMatrix, double, Matrix) {},
    .column_sum = [](Device&, ConstMatrix, Matrix) {},
    .squared_norm = [](Device&, ConstMatrix) { return 0.0; },
    .dropout = [](Device&, const DropoutArgs&) {},
    .activation = [](Device&, const ActivationArgs&) {},
    .activation_backward = [](Device&, const ActivationBackwardArgs&) {},
    .gated = [](Device&, const GatedArgs&) {},
    .gated_backward = [](Device&, const GatedBackwardArgs&) {},
    .norm = [](Device&, const NormArgs&) {},
    .norm_backward_workspace =
        [](Device& d, const NormBackwardArgs& a) { return like(d).kernels().norm_backward_workspace(like(d), a); },
    .norm_backward = [](Device&, const NormBackwardArgs&, void*) {},
    .rope = [](Device&, const RopeArgs&) {},
    .attention_workspace = [](Device& d,
                              const AttentionArgs& a) { return like(d).kernels().attention_workspace(like(d), a); },
    .attention = [](Device&, const AttentionArgs&, void*) {},
    .attention_backward_workspace =
        [](Device& d, const AttentionBackwardArgs& a) {
          return like(d).kernels().attention_backward_workspace(like(d), a);
        },
    .attention_backward = [](Device&, const AttentionBackwardArgs&, void*) {},
    .embedding = [](Device&, const EmbeddingArgs&) {},
    .embedding_backward = [](Device&, const EmbeddingBackwardArgs&) {},
    .cross_entropy = [](Device&, const CrossEntropyArgs&) {},
    .adamw = [](Device&, const AdamWArgs&) {},
};

MetaDevice::MetaDevice(DevicePtr like) : Device(table), like_(std::move(like)) {}

}  // namespace

DevicePtr meta_device(const DevicePtr& like) { return std::make_shared<MetaDevice>(like); }

}  // namespace loragrad
