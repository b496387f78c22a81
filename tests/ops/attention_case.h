#pragma once
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

#include "engine/backward.h"
#include "ops/attention.h"
#include "tests/device/test_device.h"
#include "tests/ops/op_case.h"

/// Cases of attention, and its definition, which they are compared with.
namespace loragrad::attention_test {

using Lengths = std::vector<std::int64_t>;

/// Rows one behind the other, with `gap` keys that nobody has before each row's; their keys in the opposite order where
/// `turned`.
inline std::vector<RowSpan> spans_of(const Lengths& queries, const Lengths& keys, std::int64_t gap = 0,
                                     bool turned = false) {
  std::vector<RowSpan> rows(queries.size());
  std::int64_t query = 0, key = 0;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    std::size_t of_keys = turned ? rows.size() - 1 - i : i;
    auto number = [](std::int64_t n) { return static_cast<std::int32_t>(n); };
    rows[i].query = number(query), rows[i].queries = number(queries[i]);
    rows[of_keys].key = number(key + gap), rows[of_keys].keys = number(keys[of_keys]);
    query += queries[i], key += gap + keys[of_keys];
  }
  return rows;
}

inline RowSpansPtr rows_of(const DevicePtr& device, const Lengths& queries, const Lengths& keys) {
  return make_row_spans(device, spans_of(queries, keys));
}

inline AttentionConfig heads(std::int64_t n_head, std::int64_t n_kv_head, std::int64_t head_dim,
                             std::int64_t window = 0, double soft_cap = 0) {
  return {.n_head = n_head,
          .n_kv_head = n_kv_head,
          .head_dim = head_dim,
          .window = window,
          .scale = 0.4,
          .soft_cap = soft_cap};
}

struct Case {
  const char* name;
  Lengths queries, keys;
  AttentionConfig config;
  bool finite_differences = true;
  std::int64_t gap = 0;  // keys that no row has, before each row's and behind the last one's
  bool turned = false;   // the rows' keys in the opposite order

  std::vector<RowSpan> spans() const { return spans_of(queries, keys, gap, turned); }
  RowSpansPtr rows(const DevicePtr& device) const { return make_row_spans(device, spans()); }
  std::int64_t tokens() const { return std::accumulate(queries.begin(), queries.end(), std::int64_t{0}); }
  std::int64_t cached() const {
    return std::accumulate(keys.begin(), keys.end(), static_cast<std::int64_t>(keys.size() + 1) * gap);
  }

  OpCase op_case() const {
    std::int64_t dim = config.head_dim;
    auto run = [c = *this](const std::vector<Tensor>& in, const Setting& s) {
      return attention(s.compute(in[0]), s.compute(in[1]), s.compute(in[2]), c.rows(s.device), c.config);
    };
    Shape kv{cached(), config.n_kv_head * dim};
    return {.name = name,
            .inputs = {{tokens(), config.n_head * dim}, kv, kv},
            .run = run,
            .finite_differences = finite_differences,
            .f32_tolerance = 2e-5,
            .bf16_tolerance = 4e-2};
  }
};

/// The definition, one query at a time: the result, and with `dout` the gradients of q, k, v.
struct Naive {
  std::vector<double> out, dq, dk, dv;
  Naive(const Case& c, const std::vector<double>& q, const std::vector<double>& k, const std::vector<double>& v,
        const std::vector<double>& dout)
      : out(q.size()), dq(q.size()), dk(k.size()), dv(v.size()) {
    const AttentionConfig& config = c.config;
    std::vector<RowSpan> rows = c.spans();
    std::int64_t dim = config.head_dim;
    for (std::size_t i = 0; i < c.queries.size(); ++i)
      for (std::int64_t j = 0; j < c.queries[i]; ++j)
        for (std::int64_t h = 0; h < config.n_head; ++h) {
          std::int64_t last = c.keys[i] - c.queries[i] + j,
                       first = config.window ? std::max<std::int64_t>(0, last - config.window + 1) : 0;
          auto at_q = static_cast<std::size_t>(((rows[i].query + j) * config.n_head + h) * dim);
          auto at_k = [&](std::int64_t key) {
            return static_cast<std::size_t>(
                ((rows[i].key + key) * config.n_kv_head + h * config.n_kv_head / config.n_head) * dim);
          };
          auto dot = [&](const std::vector<double>& a, std::size_t at, const std::vector<double>& b, std::size_t to) {
            double sum = 0;
            for (std::size_t d = 0; d < static_cast<std::size_t>(dim); ++d) sum += a[at + d] * b[to + d];
            return sum;
          };
          std::vector<double> p, slopes;
          double total = 0, mean = 0, cap = config.soft_cap;
          for (std::int64_t key = first; key <= last; ++key) {
            double score = config.scale * dot(q, at_q, k, at_k(key));
            slopes.push_back(cap > 0 ? std::pow(std::cosh(score / cap), -2) : 1);
            total += p.emplace_back(std::exp(cap > 0 ? cap * std::tanh(score / cap) : score));
          }
          for (std::int64_t key = first; key <= last; ++key) {
            double& weight = p[static_cast<std::size_t>(key - first)];
            weight /= total;
            mean += weight * dot(dout, at_q, v, at_k(key));
          }
          for (std::int64_t key = first; key <= last; ++key) {
            double weight = p[static_cast<std::size_t>(key - first)],
                   slope = slopes[static_cast<std::size_t>(key - first)],
                   ds = config.scale * slope * weight * (dot(dout, at_q, v, at_k(key)) - mean);
            for (std::size_t d = 0; d < static_cast<std::size_t>(dim); ++d) {
              out[at_q + d] += weight * v[at_k(key) + d];
              dv[at_k(key) + d] += weight * dout[at_q + d];
              dq[at_q + d] += ds * k[at_k(key) + d];
              dk[at_k(key) + d] += ds * q[at_q + d];
            }
          }
        }
  }
};

/// The largest difference, relative to values above 1.
inline double distance(const std::vector<double>& a, const std::vector<double>& b) {
  REQUIRE(a.size() == b.size());
  double largest = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    double difference = std::abs(a[i] - b[i]) / std::max(1.0, std::abs(b[i]));
    if (!(difference <= largest)) largest = difference;  // a NaN stays
  }
  return largest;
}

/// Attention and its gradients in f64 against the definition.
inline void check_definition(const Case& c) {
  CAPTURE(c.name);
  OpCase op_case = c.op_case();
  Setting s{test_device(2), DType::f64, 5};
  std::vector<Tensor> in = make_inputs(op_case, s, 7);
  Tensor y = op_case.run(in, s);
  std::vector<double> dy = s.normal(y.numel(), 9);
  backward(y, make_tensor(s.device, y.shape(), DType::f64, dy));
  Naive naive(c, read_values(in[0]), read_values(in[1]), read_values(in[2]), dy);
  CHECK(distance(read_values(y), naive.out) < 1e-12);
  CHECK(distance(read_values(in[0].grad()), naive.dq) < 1e-12);
  CHECK(distance(read_values(in[1].grad()), naive.dk) < 1e-12);
  CHECK(distance(read_values(in[2].grad()), naive.dv) < 1e-12);
}

}  // namespace loragrad::attention_test
