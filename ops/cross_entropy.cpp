#include "ops/cross_entropy.h"

#include <algorithm>
#include <numeric>
#include <vector>

#include "engine/error.h"
#include "engine/node.h"
#include "ops/gemm.h"

namespace loragrad {
namespace {

constexpr std::int64_t tile_bytes = 64 << 20;

/// dx and dW were computed with the loss; backward multiplies them by dy, a scalar.
struct CrossEntropyNode final : Node {
  CrossEntropyNode(const Tensor& x, const Tensor& head, const Tensor& dx, const Tensor& dw) {
    set_inputs({x, head});
    saved_dx = save(dx);
    saved_dw = save(dw);
  }
  std::string_view name() const override { return "cross_entropy"; }
  void backward(const Tensor& dy, GradSink& sink) override {
    double factor = 0;
    if (!dy.device()->is_meta()) factor = dy.dtype() == DType::f64 ? dy.values<double>()[0] : dy.values<float>()[0];
    pass(sink, 0, saved_dx, factor);
    pass(sink, 1, saved_dw, factor);
  }
  void pass(GradSink& sink, std::size_t input, std::size_t slot, double factor) {
    if (!sink.needs(input)) return;
    Tensor gradient = saved(slot);
    if (factor == 1) return sink.pass(input, gradient);
    auto into = sink.into(input);
    gradient.device()->kernels().accumulate(*gradient.device(), gradient.matrix(), factor, into.matrix, into.beta);
  }
  std::size_t saved_dx, saved_dw;
};

/// `head` as a matrix; `dw` undefined for a frozen one. Taken together so that both overloads are one computation.
CrossEntropy compute(const Tensor& x, ConstMatrix head, const Tensor& head_tensor, const Tensor& targets,
                     double denominator) {
  Shape head_shape{head.rows, head.cols};
  if (x.cols() != head.cols)
    throw ShapeError("cross_entropy: x " + x.shape().text() + " does not fit the head " + head_shape.text());
  if (targets.rows() != x.rows() || targets.dtype() != DType::i32)
    throw ShapeError("cross_entropy: targets " + targets.shape().text() + " do not fit x " + x.shape().text());
  const DevicePtr& device = x.device();
  const Kernels& k = device->kernels();
  bool meta = device->is_meta(), need_dw = head_tensor.needs_grad(), need_dx = x.needs_grad();
  DType accumulator = x.dtype() == DType::f64 ? DType::f64 : DType::f32;

  std::vector<std::int32_t> host_targets = targets.values<std::int32_t>();
  std::int64_t rows = x.rows(), vocab = head.rows;
  std::int64_t bytes_per_row =
      vocab * static_cast<std::int64_t>(size_of(accumulator) + (x.dtype() == DType::bf16 ? 2 : 0));
  std::int64_t tile_rows = std::clamp<std::int64_t>(tile_bytes / std::max<std::int64_t>(1, bytes_per_row), 1,
                                                    std::max<std::int64_t>(1, rows));
  if (tile_rows > 16) tile_rows = tile_rows / 16 * 16;

  Tensor dx, dw;
  if (need_dx) dx = Tensor::empty(device, x.shape(), x.dtype());
  if (need_dw) dw = Tensor::zeros(device, head_shape, head_tensor.dtype());
  CrossEntropy result;
  std::vector<double> losses(static_cast<std::size_t>(tile_rows));
  auto supervised = [&](std::int64_t row) { return meta || host_targets[static_cast<std::size_t>(row)] >= 0; };
  for (std::int64_t begin = 0; begin < rows;) {
    // A run of rows that are all supervised, or all not (prompts): the latter only get a zero gradient.
    bool live = supervised(begin);
    std::int64_t end = begin + 1;
    while (end < rows && supervised(end) == live && end - begin < (live ? tile_rows : rows)) ++end;
    std::int64_t count = end - begin;
    if (!live) {
      if (need_dx) {
        Matrix part = row_range(dx.mutable_matrix(), begin, count);
        k.accumulate(*device, part, 0, part, 0);
      };
    } else {
      Tensor logits = Tensor::empty(device, {count, vocab}, accumulator);
      ConstMatrix xs = row_range(x.matrix(), begin, count);
      gemm(*device, {.c = logits.mutable_matrix(), .a = xs, .b = head, .transpose_b = true});
      Tensor dlogits = x.dtype() == DType::bf16 && (need_dx || need_dw)
                           ? Tensor::empty(device, {count, vocab}, DType::bf16)
                           : logits;
      k.cross_entropy(*device, {.logits = logits.matrix(),
                                .targets = meta ? nullptr : targets.data<std::int32_t>() + begin,
                                .losses = losses.data(),
                                .dlogits = need_dx || need_dw ? dlogits.mutable_matrix() : Matrix{},
                                .scale = 1 / denominator});
      if (need_dx) gemm(*device, {.c = row_range(dx.mutable_matrix(), begin, count), .a = dlogits.matrix(), .b = head});
      if (need_dw)
        gemm(*device, {.c = dw.mutable_matrix(), .a = dlogits.matrix(), .b = xs, .transpose_a = true, .beta = 1});
      result.supervised += count;
      if (!meta) result.sum = std::accumulate(losses.begin(), losses.begin() + count, result.sum);
    }
    begin = end;
  }
  double value = result.sum / denominator;
  auto narrow = static_cast<float>(value);
  result.loss =
      accumulator == DType::f64 ? Tensor::from(device, {1, 1}, &value) : Tensor::from(device, {1, 1}, &narrow);
  if (need_dx || need_dw) attach(result.loss, std::make_shared<CrossEntropyNode>(x, head_tensor, dx, dw));
  return result;
}

}  // namespace

CrossEntropy cross_entropy(const Tensor& x, const Weight& head, const Tensor& targets, double denominator) {
  if (head.layout() != WeightLayout::out_in) throw ShapeError("cross_entropy: the head must be stored [vocab, d]");
  return compute(x, head.matrix(), Tensor(), targets, denominator);
}

CrossEntropy cross_entropy(const Tensor& x, const Tensor& head, const Tensor& targets, double denominator) {
  return compute(x, head.matrix(), head, targets, denominator);
}

}  // namespace loragrad
