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

/// The call of several at once, counted where they are made.
std::function<void()> products(Operands& operands, std::vector<GemmArgs> list) {
  for (const GemmArgs& args : list) operands.multiplies(flops(args), args.a.dtype);
  return [list = std::move(list), &device = operands.device()] { device.kernels().gemm_list(device, {list}); };
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

/// What the adapters of `maps` linear maps of one x share (lora/lora_down.cpp): the products with A.
void add_down(OpCases& cases, const std::string& prefix, std::int64_t maps, const OpShape& s, DType dtype) {
  std::int64_t n = s.tokens(), width = s.width, r = op_rank;
  auto add = [&](const char* name, auto of_columns) {
    cases.push_back({prefix + name, [=](Operands& o) {
                       auto product_of = of_columns(o, DropoutMask{.p = 0.05, .key = 7, .tokens = o.places(n)});
                       std::vector<GemmArgs> list;
                       for (std::int64_t i = 0; i < maps; ++i) list.push_back(product_of(i * r));
                       return products(o, list);
                     }});
  };
  add("h=drop(x)A'", [=](Operands& o, DropoutMask mask) {
    return [=, &o, x = o.read(n, width, dtype), h = o.written(n, maps * r, dtype)](std::int64_t begin) {
      return GemmArgs{.c = column_range(h, begin, r),
                      .a = x,
                      .b = o.read(r, width, dtype),
                      .transpose_b = true,
                      .dropout = mask,
                      .dropped = Dropped::a};
    };
  });
  add("dA=dh'drop(x)", [=](Operands& o, DropoutMask mask) {
    return [=, &o, x = o.read(n, width, dtype), dh = o.read(n, maps * r, dtype)](std::int64_t begin) {
      return GemmArgs{.c = o.written(r, width, DType::f32),
                      .a = column_range(dh, begin, r),
                      .b = x,
                      .transpose_a = true,
                      .dropout = mask,
                      .dropped = Dropped::b};
    };
  });
  add("dx+=drop(dhA)", [=](Operands& o, DropoutMask mask) {
    return [=, &o, dx = o.updated(n, width, dtype), dh = o.read(n, maps * r, dtype)](std::int64_t begin) {
      return GemmArgs{.c = dx,
                      .a = column_range(dh, begin, r),
                      .b = o.read(r, width, dtype),
                      .beta = 1,
                      .dropout = mask,
                      .dropped = Dropped::product};
    };
  });
}

/// The products of an adapter with B, on a map of `width` to `width` (lora/lora_linear.cpp).
void add_up(OpCases& cases, const OpShape& s, DType dtype) {
  std::int64_t n = s.tokens(), width = s.width;
  auto dy = [=](Operands& o) { return o.read(n, width, dtype); };
  auto h = [=](Operands& o) { return o.read(n, op_rank, dtype); };
  auto b = [=](Operands& o) { return o.read(width, op_rank, dtype); };
  auto add = [&](const char* name, auto make) {
    cases.push_back({std::string("lora/") + name, [=](Operands& o) { return product(o, make(o)); }});
  };
  add("y+=hB'", [=](Operands& o) {
    return GemmArgs{.c = o.updated(n, width, dtype), .a = h(o), .b = b(o), .transpose_b = true, .alpha = 2, .beta = 1};
  });
  add("dB=dy'h", [=](Operands& o) {
    return GemmArgs{.c = o.written(width, op_rank, DType::f32), .a = dy(o), .b = h(o), .transpose_a = true, .alpha = 2};
  });
  add("dh=dyB",
      [=](Operands& o) { return GemmArgs{.c = o.written(n, op_rank, dtype), .a = dy(o), .b = b(o), .alpha = 2}; });
}

}  // namespace

OpCases product_cases(const OpShape& s, DType dtype) {
  OpCases cases;
  auto linear = [&](const char* name, std::int64_t in, std::int64_t out) {
    add_linear(cases, std::string("linear/") + name, s.tokens(), in, out, dtype, dtype, !s.gated);
  };
  linear("q", s.width, s.width);
  if (s.kv_heads != s.heads) linear("kv", s.width, s.kv_heads * s.head_dim());
  linear("up", s.width, s.intermediate);
  linear("down", s.intermediate, s.width);
  add_down(cases, "lora/", 1, s, dtype);
  add_down(cases, "lora-qkv/", 3, s, dtype);
  add_up(cases, s, dtype);
  return cases;
}

}  // namespace loragrad::bench
