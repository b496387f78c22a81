#pragma once
// Threads: one at a time for each device (engine/device.h).
#include <cstddef>
#include <memory>
#include <utility>
#include <vector>

#include "engine/tensor.h"

namespace loragrad {

/// How a linear map's matrix is stored: [out, in] (a Linear), or [in, out] (GPT-2's Conv1D).
enum class WeightLayout { out_in, in_out };

/// A frozen parameter: an immutable matrix in the dtype its file has, usually the mapped file itself. There is no way
/// from a Weight to a gradient: ops that take one have nothing to compute for it. A vector is one row. Copies share the
/// bytes.
class Weight {
 public:
  Weight() = default;  ///< no weight (a missing bias)
  /// `data` is memory that the device's kernels read (engine/place.h makes it of a file's): it may be misaligned, stays
  /// valid while `keep_alive` lives, and its rows lie one behind the other.
  Weight(DevicePtr device, const void* data, DType dtype, Shape shape, std::shared_ptr<const void> keep_alive,
         WeightLayout layout = WeightLayout::out_in)
      : device_(std::move(device)),
        view_(ConstMatrix{data, dtype, shape.rows, shape.cols, shape.cols}),
        layout_(layout),
        keep_alive_(std::move(keep_alive)) {}
  /// A tensor's values, shared: whoever changes the tensor changes the weight.
  explicit Weight(const Tensor& tensor, WeightLayout layout = WeightLayout::out_in)
      : device_(tensor.device()),
        view_(tensor.matrix()),
        layout_(layout),
        keep_alive_(std::make_shared<Tensor>(tensor.detach())) {}

  bool empty() const { return device_ == nullptr; }
  Shape shape() const { return {view_.rows, view_.cols}; }
  DType dtype() const { return view_.dtype; }
  std::size_t bytes() const { return bytes_of(view_.dtype, shape().numel()); }
  WeightLayout layout() const { return layout_; }
  std::int64_t out_features() const { return layout_ == WeightLayout::out_in ? view_.rows : view_.cols; }
  std::int64_t in_features() const { return layout_ == WeightLayout::out_in ? view_.cols : view_.rows; }
  const DevicePtr& device() const { return device_; }
  WeightView view() const { return view_; }

  /// `count` rows from `begin` on, sharing the bytes.
  Weight rows(std::int64_t begin, std::int64_t count) const {
    Weight part = *this;
    part.view_ = row_range(view_, begin, count);
    return part;
  }
  /// A copy in another dtype, owned and counted by the device; itself when the dtype is already right.
  Weight to(DType dtype) const { return empty() || dtype == view_.dtype ? *this : Weight(to_tensor(dtype), layout_); }
  /// The values in the host's memory: where they are on a device that shares it, else a copy.
  HostBytes on_host() const {
    if (view_.stride != view_.cols && view_.rows > 1) return Weight(to_tensor(view_.dtype)).on_host();
    if (device_->shares_host_memory()) return {view_.data, bytes(), keep_alive_};
    auto copy = std::make_shared<std::vector<std::byte>>(bytes());
    device_->download(copy->data(), view_.data, bytes());
    return {copy->data(), bytes(), copy};
  }
  /// A tensor with the same values (for training all parameters).
  Tensor to_tensor(DType dtype) const {
    Tensor copy = Tensor::empty(device_, shape(), dtype);
    device_->kernels().accumulate(*device_, {view_, 1, copy.mutable_matrix(), 0});
    return copy;
  }

 private:
  DevicePtr device_;
  WeightView view_;
  WeightLayout layout_ = WeightLayout::out_in;
  std::shared_ptr<const void> keep_alive_;
};

}  // namespace loragrad
