#include "bench/op_cases.h"
#include "bench/products.h"
#include "ops/gemm.h"

namespace loragrad::bench {
namespace {

/// The call of a product whose operands are made; counts it.
std::function<void()> product(Operands& operands, const GemmArgs& args) {
  operands.multiplies(flops(args), args.a.dtype);
  return [args, &device = operands.device()] { gemm(device, args); };
}

/// y = x Wᵀ + b and dx = dy W for a frozen W [out, in].
void add_linear(OpCases& cases, const std::string& name, std::int64_t rows, std::int64_t in, std::int64_t out,
                DType dtype, DType result, bool bias) {
  cases.push_back({name + "/forward", [=](Operands& o) {
                     GemmArgs g{.c = o.written(rows, out, result),
                                .a = o.read(rows, in, dtype),
                                .b = o.read(out, in, dtype),
                                .transpose_b = true};
                     if (bias) g.bias = o.read(1, out, DType::f32).data;
                     return product(o, g);
                   }});
  cases.push_back({name + "/dx", [=](Operands& o) {
                     return product(
                         o,
                         {.c = o.written(rows, in, dtype), .a = o.read(rows, out, dtype), .b = o.read(out, in, dtype)});
                   }});
}

/// The five products of an adapter on a map of `width` to `width` (lora/lora_linear.cpp), and that of its input.
void add_adapter(OpCases& cases, std::int64_t width, DType dtype) {
  auto x = [=](Operands& o) { return o.read(op_tokens, width, dtype); };
  auto narrow = [=](Operands& o) { return o.read(op_tokens, op_rank, dtype); };
  auto a = [=](Operands& o) { return o.read(op_rank, width, dtype); };
  auto b = [=](Operands& o) { return o.read(width, op_rank, dtype); };
  auto add = [&](const char* name, auto make) {
    cases.push_back({std::string("lora/") + name, [=](Operands& o) { return product(o, make(o)); }});
  };
  add("h=xA'", [=](Operands& o) {
    return GemmArgs{.c = o.written(op_tokens, op_rank, dtype), .a = x(o), .b = a(o), .transpose_b = true};
  });
  add("y+=hB'", [=](Operands& o) {
    return GemmArgs{
        .c = o.updated(op_tokens, width, dtype), .a = narrow(o), .b = b(o), .transpose_b = true, .alpha = 2, .beta = 1};
  });
  add("dB=dy'h", [=](Operands& o) {
    return GemmArgs{
        .c = o.written(width, op_rank, DType::f32), .a = x(o), .b = narrow(o), .transpose_a = true, .alpha = 2};
  });
  add("dh=dyB", [=](Operands& o) {
    return GemmArgs{.c = o.written(op_tokens, op_rank, dtype), .a = x(o), .b = b(o), .alpha = 2};
  });
  add("dA=dh'x", [=](Operands& o) {
    return GemmArgs{.c = o.written(op_rank, width, DType::f32), .a = narrow(o), .b = x(o), .transpose_a = true};
  });
  add("dx=dhA",
      [=](Operands& o) { return GemmArgs{.c = o.written(op_tokens, width, dtype), .a = narrow(o), .b = a(o)}; });
}

}  // namespace

OpCases product_cases(const OpShape& s, DType dtype) {
  OpCases cases;
  auto linear = [&](const char* name, std::int64_t in, std::int64_t out) {
    add_linear(cases, std::string("linear/") + name, op_tokens, in, out, dtype, dtype, !s.gated);
  };
  linear("q", s.width, s.width);
  if (s.kv_heads != s.heads) linear("kv", s.width, s.kv_heads * s.head_dim());
  linear("up", s.width, s.intermediate);
  linear("down", s.intermediate, s.width);
  add_adapter(cases, s.width, dtype);
  return cases;
}

}  // namespace loragrad::bench
