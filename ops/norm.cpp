#include "ops/norm.h"

#include <string>

#include "engine/error.h"
#include "engine/node.h"
#include "ops/checks.h"

namespace loragrad {
namespace {

/// A weight or bias in either form. A tensor is kept as Saved, so that a change in place before backward is noticed.
struct Parameter {
  explicit Parameter(const Weight& w) : frozen(w), shape(w.shape()), dtype(w.dtype()), device(w.device()) {}
  explicit Parameter(const Tensor& t) : trainable(t) {
    if (!t.defined()) return;
    shape = t.shape();
    dtype = t.dtype();
    device = t.device();
  }
  const void* data(std::string_view op) const {
    return trainable.defined() ? trainable.get(op).matrix().data : frozen.data();
  }
  Weight frozen;
  Saved trainable;
  Shape shape;
  DType dtype = DType::f32;
  DevicePtr device;  // null: no such parameter
};

struct Config {
  std::string_view op;
  bool center;
  double eps;
  DType dtype;
  Parameter w, b;
};

void check(const Config& c, const Tensor& x) {
  check_real(c.op, "x", x.dtype());
  check_real(c.op, "y", c.dtype);
  DType wanted = x.dtype() == DType::f64 ? DType::f64 : DType::f32;
  auto parameter = [&](const char* name, const Parameter& p) {
    if (p.shape.numel() != x.cols())
      throw ShapeError(std::string(c.op) + ": " + name + " " + p.shape.text() + " does not fit x " + x.shape().text());
    if (p.dtype != wanted)
      throw ShapeError(std::string(c.op) + ": " + name + ": expected " + std::string(name_of(wanted)) + " for x " +
                       std::string(name_of(x.dtype())) + ", found " + std::string(name_of(p.dtype)));
    check_one_device(c.op, x.device(), p.device);
  };
  if (!c.w.device) throw ShapeError(std::string(c.op) + ": no weight for x " + x.shape().text());
  parameter("w", c.w);
  if (c.b.device) parameter("b", c.b);
}

/// `rstd` (and `mean` for LayerNorm) are written, or read with `reuse`.
Tensor normalize(const Config& c, const Tensor& x, const Tensor& mean, const Tensor& rstd, bool reuse) {
  Tensor y = Tensor::empty(x.device(), x.shape(), c.dtype);
  auto pointer = [](const Tensor& t) { return t.defined() ? const_cast<void*>(t.matrix().data) : nullptr; };
  x.device()->kernels().norm(*x.device(), {.x = x.matrix(),
                                           .weight = c.w.data(c.op),
                                           .bias = c.b.device ? c.b.data(c.op) : nullptr,
                                           .eps = c.eps,
                                           .center = c.center,
                                           .y = y.mutable_matrix(),
                                           .mean = pointer(mean),
                                           .rstd = pointer(rstd),
                                           .reuse_statistics = reuse});
  return y;
}

struct NormRecipe final : Recipe {
  NormRecipe(const Config& config, const Tensor& x, const Tensor& mean, const Tensor& rstd)
      : config(config), x(x), mean(mean), rstd(rstd) {}
  Tensor compute() override {
    return normalize(config, x.get(config.op), config.center ? mean.get(config.op) : Tensor(), rstd.get(config.op),
                     true);
  }
  Config config;
  Saved x, mean, rstd;
};

struct NormNode final : Node {
  NormNode(const Config& config, const Tensor& x, const Tensor& w, const Tensor& b, const Tensor& mean,
           const Tensor& rstd)
      : config(config) {
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
                          .weight = config.w.data(config.op),
                          .mean = mean.defined() ? mean.matrix().data : nullptr,
                          .rstd = rstd.matrix().data,
                          .center = config.center,
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
    Workspace workspace(device, device.kernels().norm_backward_workspace(device, args));
    device.kernels().norm_backward(device, args, workspace.data());
  }
  Config config;
  std::size_t saved_x, saved_rstd, saved_mean = 0;
};

Tensor norm(const Config& config, const Tensor& x, const Tensor& w, const Tensor& b) {
  check(config, x);
  Tensor mean, rstd;
  bool recorded = needs_grad({&x, &w, &b});
  if (recorded) {
    DType statistics = x.dtype() == DType::f64 ? DType::f64 : DType::f32;
    rstd = Tensor::empty(x.device(), {x.rows(), 1}, statistics);
    if (config.center) mean = Tensor::empty(x.device(), {x.rows(), 1}, statistics);
  }
  Tensor y = normalize(config, x, mean, rstd, false);
  if (!recorded) return y;
  y.impl()->recipe = std::make_shared<NormRecipe>(config, x, mean, rstd);
  return attach(y, std::make_shared<NormNode>(config, x, w, b, mean, rstd));
}

}  // namespace

Tensor layer_norm(const Tensor& x, const Weight& w, const Weight& b, double eps, DType dtype) {
  return norm({"layer_norm", true, eps, dtype, Parameter(w), Parameter(b)}, x, Tensor(), Tensor());
}
Tensor layer_norm(const Tensor& x, const Tensor& w, const Tensor& b, double eps, DType dtype) {
  return norm({"layer_norm", true, eps, dtype, Parameter(w), Parameter(b)}, x, w, b);
}
Tensor rms_norm(const Tensor& x, const Weight& w, double eps, DType dtype) {
  return norm({"rms_norm", false, eps, dtype, Parameter(w), Parameter(Weight())}, x, Tensor(), Tensor());
}
Tensor rms_norm(const Tensor& x, const Tensor& w, double eps, DType dtype) {
  return norm({"rms_norm", false, eps, dtype, Parameter(w), Parameter(Tensor())}, x, w, Tensor());
}

}  // namespace loragrad
