#include "ops/cross_entropy.h"

#include <algorithm>
#include <numeric>
#include <vector>

#include "engine/error.h"
#include "engine/node.h"
#include "ops/checks.h"
#include "ops/gemm.h"

namespace loragrad {
namespace {

// Of logits, with x, dx and a sum for it in f32. The head stays within 64 MB with further sums and scratch space.
constexpr std::int64_t tile_bytes = 54 << 20;
constexpr std::int64_t panel_width = 512;  // of logits: what a thread multiplies at a time fits its cache

/// dx and dW were computed with the loss; backward multiplies them by dy, a scalar.
struct CrossEntropyNode final : Node {
  CrossEntropyNode(const Tensor& x, const Tensor& head, const Tensor& dx, const Tensor& dw) {
    set_inputs({x, head});
    saved_dx = save(dx);
    saved_dw = save(dw);
  }
  std::string_view name() const override { return "cross_entropy"; }
  void backward(const Tensor& dy, GradSink& sink) override {
    double factor = dy.dtype() == DType::f64 ? dy.values<double>()[0] : dy.values<float>()[0];
    pass(sink, 0, saved_dx, factor);
    pass(sink, 1, saved_dw, factor);
  }
  void pass(GradSink& sink, std::size_t input, std::size_t slot, double factor) {
    if (!sink.needs(input)) return;
    Tensor gradient = saved(slot);
    // In place, so that memory does not depend on the factor, which the meta device does not know.
    if (factor != 1)
      gradient.device()->kernels().accumulate(*gradient.device(), gradient.matrix(), factor, gradient.mutable_matrix(),
                                              0);
    sink.pass(input, gradient);
  }
  std::size_t saved_dx, saved_dw;
};

/// The tokens that have a target, in order. On the meta device, where nothing is known, all.
struct Supervised {
  explicit Supervised(const Tensor& targets) {
    bool meta = targets.device()->is_meta();
    std::vector<std::int32_t> all = targets.values<std::int32_t>();
    for (std::size_t t = 0; t < all.size(); ++t) {
      if (!meta && all[t] < 0) continue;
      tokens.push_back(static_cast<std::int32_t>(t));
      values.push_back(all[t]);
    }
  }
  std::int64_t count() const { return static_cast<std::int64_t>(tokens.size()); }
  std::vector<std::int32_t> tokens, values;
};

/// Tokens of a tile: as many as fit the budget, cut evenly, since a product with few rows is slow.
std::int64_t rows_of_tile(std::int64_t tokens, const WeightView& head, DType x, DType logits) {
  auto size = [](DType dtype) { return static_cast<std::int64_t>(size_of(dtype)); };
  std::int64_t bytes = head.rows * size(logits) + head.cols * (2 * size(x) + size(logits));
  std::int64_t fit = std::max<std::int64_t>(1, tile_bytes / bytes);
  if (fit > 16) fit = fit / 16 * 16;
  std::int64_t tiles = std::max<std::int64_t>(1, (tokens + fit - 1) / fit), even = (tokens + tiles - 1) / tiles;
  return std::clamp<std::int64_t>((even + 15) / 16 * 16, 1, fit);
}

/// One pass over the tiles of supervised tokens.
class Pass {
 public:
  Pass(const Tensor& x, const Parameter& head, double denominator)
      : x_(x),
        head_(head.view()),
        device_(*x.device()),
        logits_dtype_(x.dtype() == DType::f64 ? DType::f64 : DType::f32),
        scale_(1 / denominator) {
    if (x.needs_grad()) dx_ = Tensor::zeros(x.device(), x.shape(), x.dtype());
    if (head.needs_grad()) dw_ = Tensor::zeros(x.device(), head.shape(), head.dtype());
  }

  /// The sum of the losses, in f64, in the order of the tokens.
  double run(const Supervised& supervised) {
    std::int64_t step = rows_of_tile(supervised.count(), head_, x_.dtype(), logits_dtype_);
    for (std::int64_t begin = 0; begin < supervised.count(); begin += step)
      tile(supervised, begin, std::min(step, supervised.count() - begin));
    return sum_;
  }

  const Tensor& dx() const { return dx_; }
  const Tensor& dw() const { return dw_; }

 private:
  void tile(const Supervised& supervised, std::int64_t begin, std::int64_t count) {
    const Kernels& k = device_.kernels();
    auto indices = [&](const std::vector<std::int32_t>& all) {
      return Tensor::from(x_.device(), {count, 1}, all.data() + begin);
    };
    Tensor tokens = indices(supervised.tokens), targets = indices(supervised.values);
    Tensor x = Tensor::empty(x_.device(), {count, x_.cols()}, x_.dtype());
    k.embedding(device_, {.table = x_.matrix(), .ids = tokens.data<std::int32_t>(), .out = x.mutable_matrix()});

    Tensor memory = Tensor::empty(x_.device(), {count, head_.rows}, logits_dtype_);
    Matrix logits = memory.mutable_matrix();
    Panels panels{panel_width, panel_width * count}, narrow = panels;
    gemm(device_, {.c = logits, .a = x.matrix(), .b = head_, .transpose_b = true, .panels_c = panels});
    std::vector<double> losses(static_cast<std::size_t>(count));
    Matrix dlogits;
    if (dx_.defined() || dw_.defined()) {  // in the operands' type, on the logits
      dlogits = logits;
      dlogits.dtype = x_.dtype();
      narrow.apart *= static_cast<std::int64_t>(size_of(logits.dtype) / size_of(dlogits.dtype));
    }
    k.cross_entropy(device_, {.logits = logits,
                              .targets = targets.data<std::int32_t>(),
                              .losses = losses.data(),
                              .dlogits = dlogits,
                              .scale = scale_,
                              .panels = panels,
                              .apart_dlogits = narrow.apart});
    if (dx_.defined()) {
      Tensor dx = Tensor::empty(x_.device(), x.shape(), x.dtype());
      gemm(device_, {.c = dx.mutable_matrix(), .a = dlogits, .b = head_, .panels_a = narrow});
      k.embedding_backward(device_,
                           {.dout = dx.matrix(), .ids = tokens.data<std::int32_t>(), .dtable = dx_.mutable_matrix()});
    }
    if (dw_.defined())
      gemm(device_, {.c = dw_.mutable_matrix(),
                     .a = dlogits,
                     .b = x.matrix(),
                     .transpose_a = true,
                     .beta = 1,
                     .panels_a = narrow});
    sum_ = std::accumulate(losses.begin(), losses.end(), sum_);
  }

  const Tensor& x_;
  WeightView head_;
  Device& device_;
  DType logits_dtype_;
  double scale_, sum_ = 0;
  Tensor dx_, dw_;
};

}  // namespace

CrossEntropy cross_entropy(const Tensor& x, const Parameter& head, const Tensor& targets, double denominator) {
  if (head.empty() || head.layout() != WeightLayout::out_in)
    throw ShapeError("cross_entropy: the head must be stored [vocab, d]");
  if (x.cols() != head.shape().cols)
    throw ShapeError("cross_entropy: x " + x.shape().text() + " does not fit the head " + head.shape().text());
  check_real("cross_entropy", "x", x.dtype());
  check_one_device("cross_entropy", x.device(), head.device());
  check_indices("cross_entropy", "targets", targets, {x.rows(), 1}, x.shape());
  check_one_device("cross_entropy", x.device(), targets.device());
  Supervised supervised(targets);
  Pass pass(x, head, denominator);
  CrossEntropy result;
  result.sum = pass.run(supervised);
  result.supervised = supervised.count();
  double value = result.sum / denominator;
  auto narrow = static_cast<float>(value);
  const DevicePtr& device = x.device();
  result.loss = x.dtype() == DType::f64 ? Tensor::from(device, {1, 1}, &value) : Tensor::from(device, {1, 1}, &narrow);
  if (pass.dx().defined() || pass.dw().defined())
    attach(result.loss, std::make_shared<CrossEntropyNode>(x, head.tensor(), pass.dx(), pass.dw()));
  return result;
}

}  // namespace loragrad
