#pragma once
// Threads: one at a time for each device (engine/device.h).
#include <cstdint>
#include <functional>
#include <memory>
#include <utility>
#include <vector>

#include "engine/device.h"
#include "engine/dtype.h"
#include "engine/modes.h"
#include "engine/shape.h"

namespace loragrad {

class Node;
class Recipe;
struct TensorImpl;

/// A row-major matrix on a device, with its place in the tape. A handle: copies share the values. So do views (rows(),
/// cols(), reshape()), of which a row's end and the next one's beginning may lie apart.
///
/// Kernels read through matrix() and data<T>(), addresses in the device's memory; every write goes through
/// mutable_matrix(), mutable_data<T>() or set_values(), which bump the version: that is how the tape notices that a
/// value saved for backward has been changed. The host has values() and item() to read, from() and set_values() to
/// write.
class Tensor {
 public:
  Tensor() = default;  ///< undefined
  /// ShapeError for a negative shape.
  static Tensor empty(const DevicePtr& device, Shape shape, DType dtype);
  static Tensor zeros(const DevicePtr& device, Shape shape, DType dtype);
  /// Of the host's values, which the tensor takes over: as many as the shape has (any number on a meta device).
  template <class T>
  static Tensor from(const DevicePtr& device, Shape shape, std::vector<T> values) {
    Tensor t = empty(device, shape, dtype_of<T>);
    t.set_values(std::move(values));
    return t;
  }
  /// A copy of shape.numel() elements of T in host memory.
  template <class T>
  static Tensor from(const DevicePtr& device, Shape shape, const T* values) {
    return from(device, shape, std::vector<T>(values, values + (device->is_meta() ? 0 : shape.numel())));
  }

  /// A tensor that form(read..., Matrix) fills: now, or with late values (engine/modes.h) when they are read for the
  /// first time, from copies of what it reads.
  template <class Form, class... Read>
  static Tensor formed(const DevicePtr& device, Shape shape, DType dtype, Form form, const Read&... read);

  bool defined() const { return impl_ != nullptr; }
  Shape shape() const;
  std::int64_t rows() const { return shape().rows; }
  std::int64_t cols() const { return shape().cols; }
  std::int64_t numel() const { return shape().numel(); }
  DType dtype() const;
  std::size_t bytes() const { return bytes_of(dtype(), numel()); }
  const DevicePtr& device() const;

  /// `count` rows, or columns, from `begin` on. The gradient of a view is a part of this tensor's, written where it
  /// belongs; what no view gives is zero. ShapeError for a range that is not there.
  Tensor rows(std::int64_t begin, std::int64_t count) const;
  Tensor cols(std::int64_t begin, std::int64_t count) const;
  Tensor view(const Region& part) const;
  /// The same elements, row by row, in another shape. ShapeError where their number differs or rows lie apart.
  Tensor reshape(Shape shape) const;

  ConstMatrix matrix() const;
  Matrix mutable_matrix();
  /// Where the elements, of type T, lie on the device, one behind the other; UsageError where they do not.
  template <class T>
  const T* data() const {
    return static_cast<const T*>(checked(dtype_of<T>));
  }
  template <class T>
  T* mutable_data() {
    checked(dtype_of<T>);
    return static_cast<T*>(mutable_matrix().data);
  }
  /// The values on the host, once the device has come so far; T is the tensor's type. On a meta device: zeros.
  template <class T>
  std::vector<T> values() const {
    std::vector<T> out(static_cast<std::size_t>(numel()));
    copy_to_host(dtype_of<T>, out.data());
    return out;
  }
  /// The value of a tensor of one, real, on the host. ShapeError for another shape.
  double item() const;
  /// Writes all elements, which lie one behind the other, from the host: T is the tensor's type, and there are as many.
  template <class T>
  void set_values(std::vector<T> values) {
    auto kept = std::make_shared<std::vector<T>>(std::move(values));
    copy_from_host(dtype_of<T>, kept->size(), {kept->data(), bytes_of(dtype_of<T>, numel()), kept});
  }
  /// A new tensor of another type, outside the tape.
  Tensor to(DType dtype) const;
  /// Sets all elements.
  void fill(double value);
  std::uint64_t version() const;
  /// True for the only handle on values that are all of their storage: whoever has it may write over them.
  bool is_sole_owner() const;

  /// Makes a leaf whose gradient backward computes. f32 or f64 only.
  Tensor& set_trainable();
  /// True for a trainable leaf and for whatever was computed from one.
  bool needs_grad() const;
  /// The gradient of a trainable leaf; undefined before the first backward.
  Tensor grad() const;
  void clear_grad();
  /// The same values without a past.
  Tensor detach() const;

  const std::shared_ptr<TensorImpl>& impl() const { return impl_; }
  explicit Tensor(std::shared_ptr<TensorImpl> impl) : impl_(std::move(impl)) {}

 private:
  const void* checked(DType dtype) const;
  const TensorImpl& with_values() const;  // UsageError for an undefined tensor
  void copy_to_host(DType dtype, void* out) const;
  void copy_from_host(DType dtype, std::size_t count, HostBytes values);

  std::shared_ptr<TensorImpl> impl_;
};

/// The bytes under one or more tensors.
struct Storage {
  Storage(DevicePtr device, std::size_t bytes);
  Storage(const Storage&) = delete;
  Storage& operator=(const Storage&) = delete;
  ~Storage();
  DevicePtr device;
  std::size_t bytes = 0;
  MemoryBlock block;
  std::uint64_t version = 0;
  std::function<void()> form;  // of values that are still to be formed
};

/// What a tensor handle points to.
struct TensorImpl {
  std::shared_ptr<Storage> storage;
  Shape shape;
  std::int64_t offset = 0, stride = 0;  // in elements: of the first one, and from row to row
  DType dtype = DType::f32;
  std::shared_ptr<TensorImpl> whole;  // of a view: what it is a part of, which has the past, and
  std::int64_t row = 0, col = 0;      // where the part begins
  bool trainable = false;
  std::shared_ptr<Node> node;      // what computed it, when a gradient will flow through
  std::shared_ptr<Recipe> recipe;  // how to compute it again, when that is cheaper than keeping it
  Tensor grad;                     // of a trainable leaf

  const TensorImpl& past() const { return whole ? *whole : *this; }
};

template <class Form, class... Read>
Tensor Tensor::formed(const DevicePtr& device, Shape shape, DType dtype, Form form, const Read&... read) {
  Tensor t = empty(device, shape, dtype);
  Matrix matrix = t.mutable_matrix();
  if (Modes::of_this_thread().late_values)
    t.impl_->storage->form = [=] { form(read..., matrix); };
  else
    form(read..., matrix);
  return t;
}

}  // namespace loragrad
