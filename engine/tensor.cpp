#include "engine/tensor.h"

#include "engine/error.h"
#include "engine/node.h"

namespace loragrad {
namespace {

/// The first element; null where there is no memory.
std::byte* first_of(const TensorImpl& impl) {
  auto* data = static_cast<std::byte*>(impl.storage->block.data);
  return data ? data + bytes_of(impl.dtype, impl.offset) : nullptr;
}

bool is_dense(const TensorImpl& impl) { return impl.stride == impl.shape.cols; }

std::shared_ptr<TensorImpl> same_values(const TensorImpl& impl) {
  auto view = std::make_shared<TensorImpl>();
  view->storage = impl.storage;
  view->shape = impl.shape;
  view->offset = impl.offset;
  view->stride = impl.stride;
  view->dtype = impl.dtype;
  return view;
}

struct ReshapeNode final : Node {
  explicit ReshapeNode(const Tensor& x) : shape(x.shape()) { set_inputs({x}); }
  std::string_view name() const override { return "reshape"; }
  void backward(const Tensor& dy, GradSink& sink) override { sink.pass(0, dy.detach().reshape(shape)); }
  Shape shape;
};

}  // namespace

Modes& Modes::of_this_thread() {
  thread_local Modes modes;
  return modes;
}

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
  impl->storage = std::make_shared<Storage>(device, bytes_of(dtype, shape.numel()));
  impl->shape = shape;
  impl->stride = shape.cols;
  impl->dtype = dtype;
  return Tensor(std::move(impl));
}

Tensor Tensor::zeros(const DevicePtr& device, Shape shape, DType dtype) {
  Tensor t = empty(device, shape, dtype);
  t.fill(0);
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

const TensorImpl& Tensor::with_values() const {
  if (!impl_) throw UsageError("tensor: an undefined tensor was used");
  if (impl_->storage->form) std::exchange(impl_->storage->form, nullptr)();
  return *impl_;
}

ConstMatrix Tensor::matrix() const {
  const TensorImpl& t = with_values();
  return {first_of(t), t.dtype, t.shape.rows, t.shape.cols, t.stride};
}

Matrix Tensor::mutable_matrix() {
  const TensorImpl& t = with_values();
  ++t.storage->version;
  return {first_of(t), t.dtype, t.shape.rows, t.shape.cols, t.stride};
}

Tensor Tensor::view(const Region& part) const {
  auto within = [](std::int64_t begin, std::int64_t count, std::int64_t size) {
    return begin >= 0 && count >= 0 && begin + count <= size;
  };
  if (!within(part.row, part.shape.rows, rows()) || !within(part.col, part.shape.cols, cols()))
    throw ShapeError("view: " + part.shape.text() + " from (" + std::to_string(part.row) + ", " +
                     std::to_string(part.col) + ") on of " + shape().text());
  auto view = same_values(*impl_);
  view->shape = part.shape;
  view->offset += part.row * view->stride + part.col;
  if (part.shape.rows <= 1) view->stride = part.shape.cols;
  if (needs_grad()) {
    view->whole = impl_->whole ? impl_->whole : impl_;
    view->row = impl_->row + part.row;
    view->col = impl_->col + part.col;
  }
  return Tensor(std::move(view));
}

Tensor Tensor::rows(std::int64_t begin, std::int64_t count) const { return view({begin, 0, {count, cols()}}); }
Tensor Tensor::cols(std::int64_t begin, std::int64_t count) const { return view({0, begin, {rows(), count}}); }

Tensor Tensor::reshape(Shape wanted) const {
  if (wanted.rows < 0 || wanted.cols < 0 || wanted.numel() != numel() || !is_dense(*impl_))
    throw ShapeError("reshape: " + shape().text() + (is_dense(*impl_) ? "" : " with rows apart") + " to " +
                     wanted.text());
  auto same = same_values(*impl_);
  same->shape = wanted;
  same->stride = wanted.cols;
  Tensor y(std::move(same));
  return needs_grad() ? attach(y, std::make_shared<ReshapeNode>(*this)) : y;
}

const void* Tensor::checked(DType wanted) const {
  if (dtype() != wanted)
    throw UsageError("tensor: read as " + std::string(name_of(wanted)) + ", but it is " +
                     std::string(name_of(dtype())));
  if (!is_dense(*impl_))
    throw UsageError("tensor: " + shape().text() + " was read in one piece, but its rows lie apart");
  return first_of(with_values());
}

void Tensor::copy_to_host(DType wanted, void* out) const {
  if (is_dense(*impl_)) {
    const void* from = checked(wanted);
    if (!device()->is_meta()) device()->download(out, from, bytes());
    return;
  }
  for (std::int64_t row = 0; row < rows(); ++row, out = static_cast<std::byte*>(out) + bytes() / rows())
    rows(row, 1).copy_to_host(wanted, out);
}

void Tensor::copy_from_host(DType of, std::size_t count, HostBytes values) {
  checked(of);
  if (device()->is_meta()) return;
  if (count != static_cast<std::size_t>(numel()))
    throw ShapeError("tensor: " + shape().text() + ": expected " + std::to_string(numel()) + " values, found " +
                     std::to_string(count));
  device()->upload(mutable_matrix().data, std::move(values));
}

double Tensor::item() const {
  if (shape() != Shape{1, 1}) throw ShapeError("tensor: expected one value, found " + shape().text());
  switch (dtype()) {
    case DType::f32:
      return double{values<float>()[0]};
    case DType::bf16:
      return double{static_cast<float>(values<bf16>()[0])};
    default:
      return values<double>()[0];
  }
}

Tensor Tensor::to(DType wanted) const {
  Tensor out = empty(device(), shape(), wanted);
  device()->kernels().accumulate(*device(), {matrix(), 1, out.mutable_matrix(), 0});
  return out;
}

void Tensor::fill(double value) {
  if (device()->is_meta() || numel() == 0) {
    mutable_matrix();
    return;
  }
  if (value == 0 && dtype() != DType::i32) {
    device()->kernels().accumulate(*device(), {matrix(), 0, mutable_matrix(), 0});
    return;
  }
  if (!is_dense(*impl_)) {
    for (std::int64_t row = 0; row < rows(); ++row) rows(row, 1).fill(value);
    return;
  }
  std::size_t n = static_cast<std::size_t>(numel());
  switch (dtype()) {
    case DType::f32:
      return set_values(std::vector<float>(n, static_cast<float>(value)));
    case DType::f64:
      return set_values(std::vector<double>(n, value));
    case DType::i32:
      return set_values(std::vector<std::int32_t>(n, static_cast<std::int32_t>(value)));
    default:
      return set_values(std::vector<bf16>(n, bf16(static_cast<float>(value))));
  }
}

std::uint64_t Tensor::version() const { return impl_ ? impl_->storage->version : 0; }
bool Tensor::is_sole_owner() const {
  return impl_.use_count() == 1 && impl_->storage.use_count() == 1 && bytes() == impl_->storage->bytes;
}

Tensor& Tensor::set_trainable() {
  if (dtype() != DType::f32 && dtype() != DType::f64)
    throw UsageError("tensor: only f32 and f64 can be trained, not " + std::string(name_of(dtype())));
  if (impl_->node || impl_->whole)
    throw UsageError("tensor: a computed value cannot be made trainable; detach() it first");
  impl_->trainable = true;
  return *this;
}

bool Tensor::needs_grad() const {
  if (Modes::of_this_thread().unrecorded) return false;
  return impl_ && (impl_->past().trainable || impl_->past().node);
}
Tensor Tensor::grad() const { return impl_ ? impl_->grad : Tensor(); }
void Tensor::clear_grad() {
  if (impl_) impl_->grad = Tensor();
}

Tensor Tensor::detach() const {
  if (!impl_) return {};
  auto impl = same_values(*impl_);
  impl->recipe = impl_->recipe;  // says how the values come about, not what depends on them
  return Tensor(std::move(impl));
}

}  // namespace loragrad
