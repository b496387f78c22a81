#include "ops/norm.h"

#include <string>

#include "engine/error.h"
#include "engine/node.h"
#include "ops/checks.h"

namespace loragrad {
namespace {

struct Config {
  std::string_view op;
  bool center;
  double eps;
  DType dtype;
  double offset;  // of the weight
};

struct Parameters {
  SavedParameter w, b;
};

void check(const Config& c, const Tensor& x, const Parameter& w, const Parameter& b) {
  check_real(c.op, "x", x.dtype());
  check_real(c.op, "y", c.dtype);
  DType wanted = accumulation_type(x.dtype());
  auto parameter = [&](const char* name, const Parameter& p) {
    if (p.shape() != Shape{1, x.cols()})
      throw ShapeError(std::string(c.op) + ": " + name + " " + p.shape().text() + " does not fit x " +
                       x.shape().text());
    if (p.dtype() != wanted)
      throw ShapeError(std::string(c.op) + ": " + name + ": expected " + std::string(name_of(wanted)) + " for x " +
                       std::string(name_of(x.dtype())) + ", found " + std::string(name_of(p.dtype())));
    check_one_device(c.op, x.device(), p.device());
  };
  if (w.empty()) throw ShapeError(std::string(c.op) + ": no weight for x " + x.shape().text());
  parameter("w", w);
  if (!b.empty()) parameter("b", b);
}

/// `rstd` (and `mean` for LayerNorm) are written, or read with `reuse`.
Tensor normalize(const Config& c, const Parameters& p, const Tensor& x, const Tensor& mean, const Tensor& rstd,
                 bool reuse) {
  Tensor y = Tensor::empty(x.device(), x.shape(), c.dtype);
  auto pointer = [](const Tensor& t) { return t.defined() ? const_cast<void*>(t.matrix().data) : nullptr; };
  x.device()->kernels().norm(*x.device(), {.x = x.matrix(),
                                           .weight = p.w.view(c.op).data,
                                           .bias = p.b.view(c.op).data,
                                           .eps = c.eps,
                                           .center = c.center,
                                           .weight_offset = c.offset,
                                           .y = y.mutable_matrix(),
                                           .mean = pointer(mean),
                                           .rstd = pointer(rstd),
                                           .reuse_statistics = reuse});
  return y;
}

struct NormRecipe final : Recipe {
  NormRecipe(const Config& config, const Parameters& p, const Tensor& x, const Tensor& mean, const Tensor& rstd)
      : config(config), p(p), x(x), mean(mean), rstd(rstd) {}
  Tensor compute() override {
    return normalize(config, p, x.get(config.op), config.center ? mean.get(config.op) : Tensor(), rstd.get(config.op),
                     true);
  }
  Config config;
  Parameters p;
  Saved x, mean, rstd;
};

struct NormNode final : Node {
  NormNode(const Config& config, const Parameters& p, const Tensor& x, const Tensor& w, const Tensor& b,
           const Tensor& mean, const Tensor& rstd)
      : config(config), p(p) {
    set_inputs({x, w, b});
    saved_x = save(x);
    saved_rstd = save(rstd);
    if (config.center) saved_mean = save(mean);
  }
  std::string_view name() const override { return config.op; }
  void backward(const Tensor& dy, GradSink& sink) override {
    Device& device = *dy.device();
    Tensor x = saved(saved_x), rstd = saved(saved_rstd), mean = config.center ? saved(saved_mean) : Tensor();
    NormBackwardArgs args{.x = x.matrix(),
                          .dy = dy.matrix(),
                          .weight = p.w.view(config.op).data,
                          .mean = mean.defined() ? mean.matrix().data : nullptr,
                          .rstd = rstd.matrix().data,
                          .center = config.center,
                          .weight_offset = config.offset,
                          .dx = {},
                          .dweight = {},
                          .dbias = {}};
    if (sink.needs(0)) {
      auto dx = sink.into(0, dy);
      args.dx = dx.matrix;
      args.beta = dx.beta;
    }
    auto sum_into = [&](std::size_t input) -> Matrix {
      if (!sink.needs(input)) return {};
      auto into = sink.into(input);
      return zeroed(device, into.matrix, into.beta);
    };
    args.dweight = sum_into(1);
    args.dbias = sum_into(2);
    device.kernels().norm_backward(device, args);
  }
  Config config;
  Parameters p;
  std::size_t saved_x, saved_rstd, saved_mean = 0;
};

Tensor norm(const Config& config, const Tensor& x, const Parameter& w, const Parameter& b) {
  check(config, x, w, b);
  Parameters parameters{SavedParameter(w), SavedParameter(b)};
  Tensor mean, rstd;
  bool recorded = needs_grad({&x, &w.tensor(), &b.tensor()});
  if (recorded) {
    DType statistics = accumulation_type(x.dtype());
    rstd = Tensor::empty(x.device(), {x.rows(), 1}, statistics);
    if (config.center) mean = Tensor::empty(x.device(), {x.rows(), 1}, statistics);
  }
  Tensor y = normalize(config, parameters, x, mean, rstd, false);
  if (!recorded) return y;
  y.impl()->recipe = std::make_shared<NormRecipe>(config, parameters, x, mean, rstd);
  return attach(y, std::make_shared<NormNode>(config, parameters, x, w.tensor(), b.tensor(), mean, rstd));
}

}  // namespace

Tensor layer_norm(const Tensor& x, const Parameter& w, const Parameter& b, double eps, DType dtype) {
  return norm({"layer_norm", true, eps, dtype, 0}, x, w, b);
}
Tensor rms_norm(const Tensor& x, const Parameter& w, double eps, DType dtype, double offset) {
  return norm({"rms_norm", false, eps, dtype, offset}, x, w, {});
}

}  // namespace loragrad
