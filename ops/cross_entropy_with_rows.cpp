#include "ops/cross_entropy_with_rows.h"

#include <string>

#include "engine/error.h"
#include "engine/node.h"
#include "ops/checks.h"
#include "ops/gemm.h"

namespace loragrad {
namespace {

/// Rows that begin at multiples of 16 bytes in every type, which libraries of products like.
constexpr std::int64_t columns_unit = 8;

/// [x, 0]. Its gradient is that of [x, 0] Wᵀ for a W of HeadWithRows, so behind dx it has the rows' dz.
struct WidenNode final : Node {
  WidenNode(const Tensor& x, const Tensor& values) : count(values.rows()) {
    set_inputs({x, values});
    if (values.needs_grad()) saved_x = save(x);
  }
  std::string_view name() const override { return "cross_entropy_with_rows"; }
  void backward(const Tensor& dy, GradSink& sink) override {
    Device& device = *dy.device();
    if (sink.needs(0)) {
      auto dx = sink.into(0);
      device.kernels().accumulate(device, {column_range(dy.matrix(), 0, dx.matrix.cols), 1, dx.matrix, dx.beta});
    }
    if (!sink.needs(1)) return;
    Tensor x = saved(saved_x);
    auto into = sink.into(1);
    gemm(device, {.c = into.matrix,
                  .a = column_range(dy.matrix(), x.cols(), count),
                  .b = x.matrix(),
                  .transpose_a = true,
                  .beta = into.beta});
  }
  std::int64_t count;
  std::size_t saved_x = 0;
};

}  // namespace

HeadWithRows::HeadWithRows(const Weight& head, const std::vector<std::int32_t>& ids, const Tensor& values)
    : values_(values), width_(head.shape().cols) {
  auto n = static_cast<std::int64_t>(ids.size());
  if (values.shape() != Shape{n, width_})
    throw ShapeError("cross_entropy_with_rows: rows " + values.shape().text() + " do not fit " + std::to_string(n) +
                     " of a head of " + head.shape().text());
  const DevicePtr& device = head.device();
  check_one_device("cross_entropy_with_rows", device, values.device());
  ids_ = Tensor::from(device, {n, 1}, ids);
  std::int64_t width = (width_ + n + columns_unit - 1) / columns_unit * columns_unit;
  wide_ = Tensor::zeros(device, {head.shape().rows, width}, head.dtype() == DType::f16 ? DType::f32 : head.dtype());
  const Kernels& kernels = device->kernels();
  Matrix wide = wide_.mutable_matrix();
  kernels.accumulate(*device, {head.view(), 1, column_range(wide, 0, width_)});
  std::vector<float> ones(static_cast<std::size_t>(n * n));
  for (std::size_t k = 0; k < ids.size(); ++k) ones[k * ids.size() + k] = 1;
  Tensor identity = Tensor::from(device, {n, n}, std::move(ones));
  kernels.put_rows(*device, {identity.matrix(), ids_.data<std::int32_t>(), column_range(wide, width_, n)});
}

Weight HeadWithRows::weight() const {
  with_columns();
  return Weight(wide_.cols(0, width_));
}

Weight HeadWithRows::with_columns() const {
  const DevicePtr& device = wide_.device();
  device->kernels().put_rows(
      *device, {values_.matrix(), ids_.data<std::int32_t>(), column_range(wide_.mutable_matrix(), 0, width_)});
  return Weight(wide_);
}

CrossEntropy cross_entropy_with_rows(const Tensor& x, const HeadWithRows& head, const Targets& targets,
                                     double denominator, double soft_cap) {
  if (x.cols() != head.width())
    throw ShapeError("cross_entropy_with_rows: x " + x.shape().text() + " does not fit a head of " +
                     std::to_string(head.width()) + " columns");
  check_real("cross_entropy_with_rows", "x", x.dtype());
  Weight wide = head.with_columns();
  check_one_device("cross_entropy_with_rows", x.device(), wide.device());
  Tensor widened = Tensor::zeros(x.device(), {x.rows(), wide.shape().cols}, x.dtype());
  x.device()->kernels().accumulate(*x.device(),
                                   {x.matrix(), 1, column_range(widened.mutable_matrix(), 0, head.width())});
  if (needs_grad({&x, &head.values()})) attach(widened, std::make_shared<WidenNode>(x, head.values()));
  return cross_entropy(widened, wide, targets, denominator, soft_cap);
}

}  // namespace loragrad
