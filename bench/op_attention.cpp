#include <array>
#include <cmath>
#include <memory>

#include "bench/op_cases.h"
#include "bench/random_rows.h"

namespace loragrad::bench {
namespace {

using Rows = std::vector<RowSpan>;

/// Counts the products of a causal pass, `per_pair` of them for each query and key it sees. On a processor they are f32
/// for bf16 too.
AttentionArgs arguments(Operands& o, const OpShape& s, DType dtype, const Rows& rows, int per_pair) {
  std::int64_t tokens = rows.back().query + rows.back().queries, wide = s.width, narrow = s.kv_heads * s.head_dim();
  double pairs = 0;
  for (const RowSpan& row : rows) pairs += static_cast<double>(row.queries) * (row.queries + 1) / 2;
  auto number = [&](std::int64_t row, std::int64_t i) {
    const RowSpan& span = rows[static_cast<std::size_t>(row)];
    return std::array{span.query, span.queries, span.key, span.keys, span.keys_before}[static_cast<std::size_t>(i)];
  };
  o.multiplies(2 * per_pair * pairs * static_cast<double>(wide), o.device().shares_host_memory() ? DType::f32 : dtype);
  return {.q = o.read(tokens, wide, dtype),
          .k = o.read(tokens, narrow, dtype),
          .v = o.read(tokens, narrow, dtype),
          .out = o.written(tokens, wide, dtype),
          .logsumexp = o.written(tokens, s.heads, DType::f32).data,
          .rows = rows,
          .device_rows = reinterpret_cast<const RowSpan*>(o.indices(static_cast<std::int64_t>(rows.size()), 5, number)),
          .n_head = s.heads,
          .n_kv_head = s.kv_heads,
          .head_dim = s.head_dim(),
          .scale = 1 / std::sqrt(static_cast<double>(s.head_dim()))};
}

std::function<void()> forward(Operands& o, const AttentionArgs& args) {
  return [args, &device = o.device()] { device.kernels().attention(device, args); };
}

std::function<void()> backward(Operands& o, const OpShape& s, DType dtype, const AttentionArgs& args) {
  forward(o, args)();  // out and logsumexp
  std::int64_t tokens = args.q.rows, narrow = s.kv_heads * s.head_dim();
  AttentionBackwardArgs back{.forward = args,
                             .dout = o.read(tokens, s.width, dtype),
                             .dq = o.written(tokens, s.width, dtype),
                             .dk = o.written(tokens, narrow, dtype),
                             .dv = o.written(tokens, narrow, dtype)};
  return [back, &device = o.device()] { device.kernels().attention_backward(device, back); };
}

}  // namespace

OpCases attention_cases(const OpShape& s, DType dtype) {
  OpCases cases;
  auto add = [&](const std::string& name, const std::vector<std::int64_t>& lengths) {
    auto rows = std::make_shared<Rows>();
    std::int32_t tokens = 0;
    for (std::int64_t length : lengths) {
      auto n = static_cast<std::int32_t>(length);
      rows->push_back({tokens, n, tokens, n, tokens});
      tokens += n;
    }
    cases.push_back({name + "/forward", [=](Operands& o) {
                       auto run = forward(o, arguments(o, s, dtype, *rows, 2));
                       return [run, rows] { run(); };
                     }});
    cases.push_back({name + "/backward", [=](Operands& o) {
                       auto run = backward(o, s, dtype, arguments(o, s, dtype, *rows, 5));
                       return [run, rows] { run(); };
                     }});
  };
  std::string longest = std::to_string(s.length);
  add("attention/" + std::to_string(s.rows) + "x" + longest, row_lengths(s.rows, s.length, s.length));
  add("attention/8x17-" + longest, row_lengths(8, 17, s.length));
  return cases;
}

}  // namespace loragrad::bench
