#include "engine/tensor.h"

#include "engine/error.h"
#include "engine/node.h"

namespace loragrad {

std::string Shape::text() const { return "[" + std::to_string(rows) + ", " + std::to_string(cols) + "]"; }

Storage::Storage(DevicePtr device_, std::size_t bytes_) : device(std::move(device_)), bytes(bytes_) {
  block = device->allocate(bytes);
  device->memory().add(bytes);
}

Storage::~Storage() {
  device->release(block, bytes);
  device->memory().remove(bytes);
}

Tensor Tensor::empty(const DevicePtr& device, Shape shape, DType dtype) {
  if (shape.rows < 0 || shape.cols < 0) throw ShapeError("tensor: negative shape " + shape.text());
  auto impl = std::make_shared<TensorImpl>();
  impl->storage = std::make_shared<Storage>(device, static_cast<std::size_t>(shape.numel()) * size_of(dtype));
  impl->shape = shape;
  impl->dtype = dtype;
  return Tensor(std::move(impl));
}

Tensor Tensor::zeros(const DevicePtr& device, Shape shape, DType dtype) {
  Tensor t = empty(device, shape, dtype);
  t.fill(0);
  return t;
}

Tensor Tensor::from_host(const DevicePtr& device, Shape shape, DType dtype, const void* values) {
  Tensor t = empty(device, shape, dtype);
  device->upload(t.mutable_matrix().data, values, t.bytes());
  return t;
}

Shape Tensor::shape() const {
  if (!impl_) throw UsageError("tensor: an undefined tensor was used");
  return impl_->shape;
}
DType Tensor::dtype() const {
  if (!impl_) throw UsageError("tensor: an undefined tensor was used");
  return impl_->dtype;
}
const DevicePtr& Tensor::device() const {
  if (!impl_) throw UsageError("tensor: an undefined tensor was used");
  return impl_->storage->device;
}

ConstMatrix Tensor::matrix() const {
  Shape s = shape();
  return {impl_->storage->block.data, impl_->dtype, s.rows, s.cols, s.cols};
}

Matrix Tensor::mutable_matrix() {
  Shape s = shape();
  ++impl_->storage->version;
  return {impl_->storage->block.data, impl_->dtype, s.rows, s.cols, s.cols};
}

const void* Tensor::checked(DType wanted) const {
  if (dtype() != wanted)
    throw UsageError("tensor: read as " + std::string(name_of(wanted)) + ", but it is " +
                     std::string(name_of(dtype())));
  return impl_->storage->block.data;
}

void Tensor::copy_to_host(DType wanted, void* out) const {
  checked(wanted);
  if (!device()->is_meta()) device()->download(out, impl_->storage->block.data, bytes());
}

Tensor Tensor::to(DType wanted) const {
  Tensor out = empty(device(), shape(), wanted);
  device()->kernels().accumulate(*device(), matrix(), 1, out.mutable_matrix(), 0);
  return out;
}

void Tensor::fill(double value) {
  if (device()->is_meta() || numel() == 0) {
    mutable_matrix();
    return;
  }
  if (value == 0 && dtype() != DType::i32) {
    device()->kernels().accumulate(*device(), matrix(), 0, mutable_matrix(), 0);
    return;
  }
  std::size_t n = static_cast<std::size_t>(numel());
  auto upload = [&](const auto& host) { device()->upload(mutable_matrix().data, host.data(), bytes()); };
  switch (dtype()) {
    case DType::f32:
      return upload(std::vector<float>(n, static_cast<float>(value)));
    case DType::f64:
      return upload(std::vector<double>(n, value));
    case DType::i32:
      return upload(std::vector<std::int32_t>(n, static_cast<std::int32_t>(value)));
    default:
      return upload(std::vector<bf16>(n, bf16(static_cast<float>(value))));
  }
}

std::uint64_t Tensor::version() const { return impl_ ? impl_->storage->version : 0; }
long Tensor::owners() const { return impl_ ? impl_->storage.use_count() : 0; }

Tensor& Tensor::set_trainable() {
  if (dtype() != DType::f32 && dtype() != DType::f64)
    throw UsageError("tensor: only f32 and f64 can be trained, not " + std::string(name_of(dtype())));
  if (impl_->node) throw UsageError("tensor: a computed value cannot be made trainable; detach() it first");
  impl_->trainable = true;
  return *this;
}

bool Tensor::needs_grad() const { return impl_ && (impl_->trainable || impl_->node); }
Tensor Tensor::grad() const { return impl_ ? impl_->grad : Tensor(); }
void Tensor::clear_grad() {
  if (impl_) impl_->grad = Tensor();
}

Tensor Tensor::detach() const {
  if (!impl_) return {};
  auto impl = std::make_shared<TensorImpl>();
  impl->storage = impl_->storage;
  impl->shape = impl_->shape;
  impl->dtype = impl_->dtype;
  impl->recipe = impl_->recipe;  // says how the values come about, not what depends on them
  return Tensor(std::move(impl));
}

}  // namespace loragrad
