#include "ops/activation.h"

#include "engine/error.h"
#include "engine/node.h"
#include "ops/checks.h"

namespace loragrad {
namespace {

/// One bit an element, each row starting at a byte, in a tensor of i32 words.
Tensor empty_mask(const Tensor& x) {
  std::int64_t bytes = x.rows() * ((x.cols() + 7) / 8);
  return Tensor::empty(x.device(), {1, (bytes + 3) / 4}, DType::i32);
}

struct ActivationNode final : Node {
  ActivationNode(Activation kind, const Tensor& x, const Tensor& kept) : kind(kind) {
    set_inputs({x});
    saved_x = save(kept);
  }
  std::string_view name() const override { return "activation"; }
  void backward(const Tensor& dy, GradSink& sink) override {
    Tensor kept = saved(saved_x);
    auto dx = sink.into(0, dy);
    ActivationBackwardArgs args{.kind = kind, .x = {}, .dy = dy.matrix(), .dx = dx.matrix, .beta = dx.beta};
    if (kind == Activation::relu)
      args.mask = reinterpret_cast<const std::uint8_t*>(kept.data<std::int32_t>());
    else
      args.x = kept.matrix();
    dy.device()->kernels().activation_backward(*dy.device(), args);
  }
  Activation kind;
  std::size_t saved_x;  // x, or relu's mask
};

Tensor product(Activation kind, const Tensor& gate, const Tensor& up) {
  Tensor y = Tensor::empty(gate.device(), gate.shape(), gate.dtype());
  gate.device()->kernels().gated(*gate.device(),
                                 {.kind = kind, .gate = gate.matrix(), .up = up.matrix(), .y = y.mutable_matrix()});
  return y;
}

struct GatedRecipe final : Recipe {
  GatedRecipe(Activation kind, const Tensor& gate, const Tensor& up) : kind(kind), gate(gate), up(up) {}
  Tensor compute() override { return product(kind, gate.get("gated"), up.get("gated")); }
  Activation kind;
  Saved gate, up;
};

struct GatedNode final : Node {
  GatedNode(Activation kind, const Tensor& gate, const Tensor& up) : kind(kind) {
    set_inputs({gate, up});
    saved_gate = save(gate);
    if (gate.needs_grad()) saved_up = save(up);
  }
  std::string_view name() const override { return "gated"; }
  void backward(const Tensor& dy, GradSink& sink) override {
    Tensor gate = take_saved(saved_gate), up;
    GatedBackwardArgs args{.kind = kind, .gate = gate.matrix(), .up = {}, .dy = dy.matrix(), .dgate = {}, .dup = {}};
    if (sink.needs(0)) {
      up = take_saved(saved_up);
      args.up = up.matrix();
    }
    // Gate and up may be one tensor (f(x) x): the second target is then the first again, and is added to.
    if (sink.needs(0)) {
      auto into = sink.into(0, gate);
      args.dgate = into.matrix;
      args.beta_gate = into.beta;
    }
    if (sink.needs(1)) {
      auto into = sink.into(1, up);
      args.dup = into.matrix;
      args.beta_up = into.beta;
    }
    const Kernels& kernels = dy.device()->kernels();
    if (args.dgate.data != args.dup.data && may_overlap(args.dgate, args.dup)) {  // views of one tensor: one by one
      GatedBackwardArgs first = args;
      first.dup = args.dgate = {};
      kernels.gated_backward(*dy.device(), first);
    }
    kernels.gated_backward(*dy.device(), args);
  }
  Activation kind;
  std::size_t saved_gate, saved_up = 0;
};

}  // namespace

Tensor activation(Activation kind, const Tensor& x) {
  check_real("activation", "x", x.dtype());
  Tensor y = Tensor::empty(x.device(), x.shape(), x.dtype());
  ActivationArgs args{.kind = kind, .x = x.matrix(), .y = y.mutable_matrix()};
  Tensor kept = x;
  if (kind == Activation::relu && x.needs_grad()) {
    kept = empty_mask(x);
    args.mask = reinterpret_cast<std::uint8_t*>(kept.mutable_data<std::int32_t>());
  }
  x.device()->kernels().activation(*x.device(), args);
  return needs_grad({&x}) ? attach(y, std::make_shared<ActivationNode>(kind, x, kept)) : y;
}

Tensor gated(Activation kind, const Tensor& gate, const Tensor& up) {
  check_equal_shapes("gated", "gate", gate.shape(), "up", up.shape());
  check_one_device("gated", gate.device(), up.device());
  check_real("gated", "gate", gate.dtype());
  if (gate.dtype() != up.dtype())
    throw ShapeError("gated: gate is " + std::string(name_of(gate.dtype())) + ", up is " +
                     std::string(name_of(up.dtype())));
  Tensor y = product(kind, gate, up);
  if (!needs_grad({&gate, &up})) return y;
  y.impl()->recipe = std::make_shared<GatedRecipe>(kind, gate, up);
  return attach(y, std::make_shared<GatedNode>(kind, gate, up));
}

std::optional<Activation> activation_named(std::string_view name) {
  if (name == "relu") return Activation::relu;
  if (name == "gelu") return Activation::gelu_erf;
  if (name == "gelu_new" || name == "gelu_pytorch_tanh" || name == "gelu_fast") return Activation::gelu_tanh;
  if (name == "silu" || name == "swish") return Activation::silu;
  return std::nullopt;
}

}  // namespace loragrad
