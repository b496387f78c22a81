#include <memory>

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

void add_embedding(OpCases& cases, const OpShape& s, DType dtype) {
  cases.push_back({"embedding/forward", [=](Operands& o) -> std::function<void()> {
                     o.count(op_tokens * row_bytes(s.width, dtype));  // of the table
                     EmbeddingArgs args{.table = o.memory(s.vocab, s.width, dtype),
                                        .ids = ids(o, op_tokens, s.vocab),
                                        .out = o.written(op_tokens, s.width, DType::f32)};
                     return [args, &d = o.device()] { d.kernels().embedding(d, args); };
                   }});
  cases.push_back({"embedding/backward", [=](Operands& o) -> std::function<void()> {
                     o.count(2 * op_tokens * row_bytes(s.width, DType::f32));
                     EmbeddingBackwardArgs args{.dout = o.read(op_tokens, s.width, DType::f32),
                                                .ids = ids(o, op_tokens, s.vocab),
                                                .dtable = o.memory(s.vocab, s.width, DType::f32)};
                     return [args, &d = o.device()] { d.kernels().embedding_backward(d, args); };
                   }});
}

/// Logits to losses, and to losses and gradients beside the logits; the head puts those on the logits, which a second
/// call would then take for logits.
void add_cross_entropy(OpCases& cases, const OpShape& s, DType dtype) {
  for (bool gradient : {false, true})
    cases.push_back(
        {gradient ? "cross_entropy/with_gradient" : "cross_entropy/loss", [=](Operands& o) -> std::function<void()> {
           auto losses = std::make_shared<std::vector<double>>(op_head_rows);
           CrossEntropyArgs args{.logits = o.read(op_head_rows, s.vocab, DType::f32),
                                 .targets = ids(o, op_head_rows, s.vocab),
                                 .losses = losses->data(),
                                 .dlogits = {},
                                 .scale = 1.0 / op_tokens};
           args.panels = {512, 512 * op_head_rows};
           args.apart_dlogits = args.panels.apart;
           if (gradient) args.dlogits = o.written(op_head_rows, s.vocab, dtype);
           return [args, losses, &d = o.device()] { d.kernels().cross_entropy(d, args); };
         }});
}

void add_update(OpCases& cases, const std::string& name, std::int64_t rows, std::int64_t cols) {
  cases.push_back({"adamw/" + name, [=](Operands& o) -> std::function<void()> {
                     AdamWArgs args{.parameter = o.updated(rows, cols, DType::f32),
                                    .m = o.updated(rows, cols, DType::f32),
                                    .v = o.updated(rows, cols, DType::f32),
                                    .gradient = o.read(rows, cols, DType::f32),
                                    .lr = 1e-4,
                                    .beta1 = 0.9,
                                    .beta2 = 0.999,
                                    .eps = 1e-8,
                                    .weight_decay = 0,
                                    .grad_scale = 1,
                                    .step = 2};
                     std::fill_n(static_cast<float*>(args.v.data), rows * cols, 1e-3f);  // a mean of squares
                     return [args, &d = o.device()] { d.kernels().adamw(d, args); };
                   }});
  cases.push_back({"squared_norm/" + name, [=](Operands& o) -> std::function<void()> {
                     ConstMatrix x = o.read(rows, cols, DType::f32);
                     return [x, &d = o.device()] { d.kernels().squared_norm(d, x); };
                   }});
}

}  // namespace

OpCases token_cases(const OpShape& s, DType dtype) {
  OpCases cases;
  add_embedding(cases, s, dtype);
  add_cross_entropy(cases, s, dtype);
  if (dtype == DType::f32) {  // what is trained is f32 in either case
    add_update(cases, "lora_A", op_rank, s.width);
    add_update(cases, "matrix", s.intermediate, s.width);
  }
  return cases;
}

}  // namespace loragrad::bench
