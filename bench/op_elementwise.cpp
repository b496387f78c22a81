#include "bench/op_cases.h"

namespace loragrad::bench {
namespace {

void add_norm(OpCases& cases, const OpShape& s, DType dtype) {
  std::int64_t n = s.tokens();
  auto column = [n](Operands& o) { return o.written(n, 1, DType::f32).data; };
  auto row = [&, width = s.width](Operands& o) { return o.read(1, width, DType::f32).data; };
  std::string name = s.gated ? "rms_norm" : "layer_norm";
  cases.push_back({name + "/forward", [=](Operands& o) -> std::function<void()> {
                     NormArgs args{.x = o.read(n, s.width, DType::f32),
                                   .weight = row(o),
                                   .center = !s.gated,
                                   .y = o.written(n, s.width, dtype),
                                   .rstd = column(o)};
                     if (args.center) args.bias = row(o), args.mean = column(o);
                     return [args, &d = o.device()] { d.kernels().norm(d, args); };
                   }});
  // Into the gradient of the residual stream.
  cases.push_back({name + "/backward", [=](Operands& o) -> std::function<void()> {
                     NormBackwardArgs args{.x = o.read(n, s.width, DType::f32),
                                           .dy = o.read(n, s.width, dtype),
                                           .weight = row(o),
                                           .mean = s.gated ? nullptr : column(o),
                                           .rstd = column(o),
                                           .center = !s.gated,
                                           .dx = o.updated(n, s.width, DType::f32),
                                           .beta = 1,
                                           .dweight = {},
                                           .dbias = {}};
                     return [args, &d = o.device()] { d.kernels().norm_backward(d, args); };
                   }});
}

void add_activation(OpCases& cases, const std::string& name, Activation kind, std::int64_t n, std::int64_t width,
                    DType dtype) {
  auto mask = [=](Operands& o) -> std::uint8_t* {
    if (kind != Activation::relu) return nullptr;
    o.count(static_cast<double>(n * width) / 8);
    return static_cast<std::uint8_t*>(o.memory(n, (width + 31) / 32, DType::f32).data);
  };
  cases.push_back({name + "/forward", [=](Operands& o) -> std::function<void()> {
                     ActivationArgs args{
                         .kind = kind, .x = o.read(n, width, dtype), .y = o.written(n, width, dtype), .mask = mask(o)};
                     return [args, &d = o.device()] { d.kernels().activation(d, args); };
                   }});
  cases.push_back(
      {name + "/backward", [=](Operands& o) -> std::function<void()> {
         ActivationBackwardArgs args{
             .kind = kind, .x = {}, .dy = o.read(n, width, dtype), .dx = o.written(n, width, dtype), .mask = mask(o)};
         if (kind != Activation::relu) args.x = o.read(n, width, dtype);
         return [args, &d = o.device()] { d.kernels().activation_backward(d, args); };
       }});
}

void add_gated(OpCases& cases, std::int64_t n, std::int64_t width, DType dtype) {
  cases.push_back({"gated_silu/forward", [=](Operands& o) -> std::function<void()> {
                     GatedArgs args{.kind = Activation::silu,
                                    .gate = o.read(n, width, dtype),
                                    .up = o.read(n, width, dtype),
                                    .y = o.written(n, width, dtype)};
                     return [args, &d = o.device()] { d.kernels().gated(d, args); };
                   }});
  cases.push_back({"gated_silu/backward", [=](Operands& o) -> std::function<void()> {
                     GatedBackwardArgs args{.kind = Activation::silu,
                                            .gate = o.read(n, width, dtype),
                                            .up = o.read(n, width, dtype),
                                            .dy = o.read(n, width, dtype),
                                            .dgate = o.written(n, width, dtype),
                                            .dup = o.written(n, width, dtype)};
                     return [args, &d = o.device()] { d.kernels().gated_backward(d, args); };
                   }});
}

/// Backward turns the other way: the same kernel.
void add_rope(OpCases& cases, const OpShape& s, DType dtype) {
  std::int64_t n = s.tokens(), length = s.length, head_dim = s.head_dim();
  cases.push_back({"rotations", [=](Operands& o) -> std::function<void()> {
                     RotationsArgs args{
                         .positions = o.indices(n, 1, [=](auto i, auto) { return i % length; }),
                         .frequencies = o.numbers(head_dim / 2, [](auto i) { return 1 / static_cast<double>(1 + i); }),
                         .y = o.written(n, head_dim, DType::f32)};
                     return [args, &d = o.device()] { d.kernels().rotations(d, args); };
                   }});
  for (bool inverse : {false, true})
    cases.push_back({inverse ? "rope/backward" : "rope/forward", [=](Operands& o) -> std::function<void()> {
                       RopeArgs args{.x = o.read(n, s.width, dtype),
                                     .y = o.written(n, s.width, dtype),
                                     .rotations = o.read(n, head_dim, DType::f32),
                                     .head_dim = head_dim,
                                     .inverse = inverse};
                       return [args, &d = o.device()] { d.kernels().rope(d, args); };
                     }});
}

/// Backward adds to a gradient that is there.
void add_dropout(OpCases& cases, std::int64_t n, std::int64_t width, DType dtype) {
  for (bool back : {false, true})
    cases.push_back({back ? "dropout/backward" : "dropout/forward", [=](Operands& o) -> std::function<void()> {
                       DropoutArgs args{.x = o.read(n, width, dtype),
                                        .y = back ? o.updated(n, width, dtype) : o.written(n, width, dtype),
                                        .mask = {.p = 0.05, .key = 7, .tokens = o.places(n)},
                                        .beta = back ? 1.0 : 0.0};
                       return [args, &d = o.device()] { d.kernels().dropout(d, args); };
                     }});
}

/// The residual stream: x + y, and what is added to a gradient.
void add_sums(OpCases& cases, std::int64_t n, std::int64_t width, DType dtype) {
  cases.push_back({"add", [=](Operands& o) -> std::function<void()> {
                     ConstMatrix a = o.read(n, width, DType::f32), b = o.read(n, width, dtype);
                     Matrix y = o.written(n, width, DType::f32);
                     return [=, &d = o.device()] { d.kernels().add(d, {.a = a, .b = b, .y = y}); };
                   }});
  cases.push_back({"accumulate", [=](Operands& o) -> std::function<void()> {
                     ConstMatrix x = o.read(n, width, dtype);
                     Matrix y = o.updated(n, width, DType::f32);
                     return [=, &d = o.device()] { d.kernels().accumulate(d, {x, 1, y, 1}); };
                   }});
}

}  // namespace

OpCases elementwise_cases(const OpShape& s, DType dtype) {
  OpCases cases;
  std::int64_t n = s.tokens();
  add_norm(cases, s, dtype);
  if (s.gated) {
    add_rope(cases, s, dtype);
    add_gated(cases, n, s.intermediate, dtype);
  } else {
    add_activation(cases, "relu", Activation::relu, n, s.intermediate, dtype);
    add_activation(cases, "gelu_tanh", Activation::gelu_tanh, n, s.intermediate, dtype);
    add_activation(cases, "gelu_erf", Activation::gelu_erf, n, s.intermediate, dtype);
  }
  add_dropout(cases, n, s.width, dtype);
  add_sums(cases, n, s.width, dtype);
  return cases;
}

}  // namespace loragrad::bench
