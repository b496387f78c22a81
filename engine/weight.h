#pragma once
#include <memory>

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
  /// `data` may be misaligned and stays valid while `keep_alive` lives.
  Weight(DevicePtr device, const void* data, DType dtype, Shape shape, std::shared_ptr<const void> keep_alive,
         WeightLayout layout = WeightLayout::out_in)
      : device_(std::move(device)),
        data_(data),
        dtype_(dtype),
        shape_(shape),
        layout_(layout),
        keep_alive_(std::move(keep_alive)) {}
  /// Freezes a copy-free view of a tensor's present values.
  explicit Weight(const Tensor& tensor, WeightLayout layout = WeightLayout::out_in)
      : Weight(tensor.device(), tensor.matrix().data, tensor.dtype(), tensor.shape(),
               std::make_shared<Tensor>(tensor.detach()), layout) {}

  bool empty() const { return device_ == nullptr; }
  Shape shape() const { return shape_; }
  DType dtype() const { return dtype_; }
  WeightLayout layout() const { return layout_; }
  std::int64_t out_features() const { return layout_ == WeightLayout::out_in ? shape_.rows : shape_.cols; }
  std::int64_t in_features() const { return layout_ == WeightLayout::out_in ? shape_.cols : shape_.rows; }
  const DevicePtr& device() const { return device_; }
  ConstMatrix matrix() const { return {data_, dtype_, shape_.rows, shape_.cols, shape_.cols}; }
  const void* data() const { return data_; }

  /// A copy in another dtype, owned and counted by the device; itself when the dtype is already right.
  Weight to(DType dtype) const { return empty() || dtype == dtype_ ? *this : Weight(to_tensor(dtype), layout_); }
  /// A tensor with the same values (for training all parameters).
  Tensor to_tensor(DType dtype) const {
    Tensor copy = Tensor::empty(device_, shape_, dtype);
    device_->kernels().accumulate(*device_, matrix(), 1, copy.mutable_matrix(), 0);
    return copy;
  }

 private:
  DevicePtr device_;
  const void* data_ = nullptr;
  DType dtype_ = DType::f32;
  Shape shape_;
  WeightLayout layout_ = WeightLayout::out_in;
  std::shared_ptr<const void> keep_alive_;
};

}  // namespace loragrad
