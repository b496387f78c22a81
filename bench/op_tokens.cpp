#include "bench/op_cases.h"

namespace loragrad::bench {
namespace {

double row_bytes(std::int64_t cols, DType dtype) {
  return static_cast<double>(cols) * static_cast<double>(size_of(dtype));
}

/// Ids far apart, as random tokens are.
const std::int32_t* ids(Operands& o, std::int64_t count, std::int64_t vocab) {
  return o.indices(count, 1, [=](std::int64_t i, std::int64_t) { return i * 7919 % vocab; });
}

/// Where a kernel writes a sum.
double* number(Operands& o) { return static_cast<double*>(o.memory(1, 1, DType::f64).data); }

void add_embedding(OpCases& cases, const OpShape& s, DType dtype) {
  std::int64_t n = s.tokens();
  cases.push_back({"embedding/forward", [=](Operands& o) -> std::function<void()> {
                     o.count(static_cast<double>(n) * row_bytes(s.width, dtype));  // of the table
                     EmbeddingArgs args{.table = o.memory(s.vocab, s.width, dtype),
                                        .ids = ids(o, n, s.vocab),
                                        .out = o.written(n, s.width, DType::f32)};
                     return [args, &d = o.device()] { d.kernels().embedding(d, args); };
                   }});
  cases.push_back({"embedding/backward", [=](Operands& o) -> std::function<void()> {
                     o.count(2 * static_cast<double>(n) * row_bytes(s.width, DType::f32));
                     EmbeddingBackwardArgs args{.dout = o.read(n, s.width, DType::f32),
                                                .ids = ids(o, n, s.vocab),
                                                .dtable = o.memory(s.vocab, s.width, DType::f32)};
                     return [args, &d = o.device()] { d.kernels().embedding_backward(d, args); };
                   }});
}

/// The head with its loss, alone and with dx.
void add_head(OpCases& cases, const OpShape& s, DType dtype) {
  std::int64_t n = s.head_tokens;
  for (bool gradient : {false, true})
    cases.push_back({gradient ? "head_loss/with_dx" : "head_loss/loss", [=](Operands& o) -> std::function<void()> {
                       HeadLossArgs args{.x = o.read(n, s.width, dtype),
                                         .head = o.read(s.vocab, s.width, dtype),
                                         .tokens = o.indices(n, 1, [](std::int64_t i, std::int64_t) { return i; }),
                                         .ids = ids(o, n, s.vocab),
                                         .count = n,
                                         .denominator = static_cast<double>(s.tokens()),
                                         .sum = number(o),
                                         .loss = o.written(1, 1, DType::f32),
                                         .dx = {},
                                         .dhead = {}};
                       if (gradient) args.dx = o.written(n, s.width, dtype);
                       o.multiplies((gradient ? 4.0 : 2.0) * static_cast<double>(n * s.vocab * s.width), dtype);
                       return [args, &d = o.device()] { d.kernels().head_loss(d, args); };
                     }});
}

void add_update(OpCases& cases, const std::string& name, std::int64_t rows, std::int64_t cols) {
  cases.push_back({"adamw/" + name, [=](Operands& o) -> std::function<void()> {
                     AdamWTensor tensor{.parameter = o.updated(rows, cols, DType::f32),
                                        .m = o.updated(rows, cols, DType::f32),
                                        .v = o.updated(rows, cols, DType::f32, 1e-3),  // a mean of squares
                                        .gradient = o.read(rows, cols, DType::f32)};
                     return [tensor, &d = o.device()] {
                       d.kernels().adamw(d, {.tensors = {&tensor, 1},
                                             .lr = 1e-4,
                                             .beta1 = 0.9,
                                             .beta2 = 0.999,
                                             .eps = 1e-8,
                                             .weight_decay = 0,
                                             .grad_scale = nullptr,
                                             .step = 2});
                     };
                   }});
  cases.push_back({"l2_norm/" + name, [=](Operands& o) -> std::function<void()> {
                     ConstMatrix x = o.read(rows, cols, DType::f32);
                     return [x, norm = number(o), &d = o.device()] {
                       d.kernels().l2_norm(d, {.x = {&x, 1}, .norm = norm});
                     };
                   }});
}

}  // namespace

OpCases token_cases(const OpShape& s, DType dtype) {
  OpCases cases;
  add_embedding(cases, s, dtype);
  add_head(cases, s, dtype);
  if (dtype == DType::f32) {  // what is trained is f32 in either case
    add_update(cases, "lora_A", op_rank, s.width);
    add_update(cases, "matrix", s.intermediate, s.width);
  }
  return cases;
}

}  // namespace loragrad::bench
