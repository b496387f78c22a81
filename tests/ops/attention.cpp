#include "ops/attention.h"

#include <doctest/doctest.h>

#include <cmath>

#include "engine/backward.h"
#include "engine/error.h"
#include "tests/device/test_device.h"
#include "tests/ops/attention_case.h"

namespace loragrad {

using namespace attention_test;

namespace {

std::vector<Case> cases() {
  return {{"one token", {1}, {1}, heads(1, 1, 1)},
          {"no rows", {}, {}, heads(2, 1, 3)},
          {"odd sizes", {5}, {5}, heads(3, 3, 5)},
          {"ragged rows, one empty", {3, 0, 7, 1}, {3, 0, 7, 1}, heads(2, 2, 3)},
          {"keys without queries", {2, 0}, {4, 3}, heads(2, 1, 3)},
          {"grouped 4/2", {6, 3}, {6, 3}, heads(4, 2, 4)},
          {"grouped 4/1", {7}, {7}, heads(4, 1, 3)},
          {"window", {9, 4}, {9, 4}, heads(4, 2, 2, 3)},
          {"window of 1", {4}, {4}, heads(1, 1, 2, 1)},
          {"more keys than queries", {1, 3, 10}, {6, 5, 13}, heads(2, 1, 4)},
          {"more keys than queries, window", {1, 3, 10}, {6, 5, 13}, heads(2, 1, 4, 4)},
          {"cap", {5, 3}, {5, 3}, heads(4, 2, 3, 0, 0.8)},
          {"cap, window, decoding", {1, 6}, {7, 9}, heads(2, 1, 4, 3, 1.5)},
          {"long row, cap", {300, 12}, {300, 140}, heads(4, 2, 8, 0, 0.7), false},
          {"long row, few items, window, cap", {520}, {700}, heads(2, 1, 17, 300, 2), false},
          {"long row", {300}, {300}, heads(1, 1, 4), false},
          {"long rows, grouped", {300, 2, 77}, {300, 2, 77}, heads(6, 2, 5), false},
          {"long row, few items", {520}, {700}, heads(2, 1, 17), false},
          {"long row, window", {530, 40}, {530, 340}, heads(2, 1, 8, 100), false},
          {"many heads and rows", {60, 300, 5, 129}, {60, 300, 5, 129}, heads(8, 4, 64), false},
          {"decoding", {1, 2, 1}, {700, 300, 1}, heads(6, 2, 8), false},
          {"decoding, window", {1, 2, 1}, {700, 300, 1}, heads(6, 2, 8, 270), false},
          {"keys with gaps", {3, 0, 5}, {4, 2, 5}, heads(2, 1, 3), true, 2},
          {"decoding, gaps", {1, 1, 1, 20}, {300, 17, 270, 20}, heads(4, 2, 8), false, 61, true}};
}

}  // namespace

std::vector<OpCase> attention_cases() {
  std::vector<OpCase> all;
  for (const Case& c : cases()) all.push_back(c.op_case());
  auto fused = [](std::int64_t k, std::int64_t v) {  // where in x keys and values begin
    return [k, v](const std::vector<Tensor>& in, const Setting& s) {
      Tensor x = s.compute(in[0]);
      return attention(x.cols(0, 8), x.cols(k, 4), x.cols(v, 4), rows_of(s.device, {5, 3}, {5, 3}), heads(4, 2, 2));
    };
  };
  all.push_back({.name = "fused q, k, v", .inputs = {{8, 16}}, .run = fused(8, 12), .bf16_tolerance = 4e-2});
  all.push_back({.name = "overlapping q, k, v", .inputs = {{8, 12}}, .run = fused(6, 8), .bf16_tolerance = 4e-2});
  return all;
}

}  // namespace loragrad

using namespace loragrad;

TEST_CASE("attention is its definition") {
  for (const Case& c : cases()) check_definition(c);
}

TEST_CASE_TEMPLATE("attention of a batch is attention row by row, bit for bit", T, float, double) {
  Setting s{test_device(2), dtype_of<T>, 3};
  for (auto [window, cap] : {std::pair{0, 0.0}, {50, 0.0}, {50, 1.5}}) {
    Lengths queries{40, 1, 0, 300, 9}, keys{40, 500, 2, 300, 20};
    Case c{"", queries, keys, heads(4, 2, 7, window, cap), false, 3, true};
    RowSpansPtr all = c.rows(s.device);
    Shape q_shape{c.tokens(), 28}, kv_shape{c.cached(), 14};
    Tensor q = s.constant(q_shape, 1), k = s.constant(kv_shape, 2), v = s.constant(kv_shape, 3),
           dy = s.constant(q_shape, 4);
    auto part = [&](const Tensor& t, std::int64_t first, std::int64_t count) {
      Tensor rows = t.detach().rows(first, count);
      return Tensor::from(s.device, rows.shape(), rows.values<T>());
    };
    for (Tensor* t : {&q, &k, &v}) t->set_trainable();
    Tensor y = attention(q, k, v, all, c.config);
    backward(y, dy);
    for (std::size_t i = 0; i < queries.size(); ++i) {
      CAPTURE(i);
      const RowSpan& row = all->spans[i];
      Tensor q_row = part(q, row.query, row.queries), k_row = part(k, row.key, row.keys),
             v_row = part(v, row.key, row.keys);
      for (Tensor* t : {&q_row, &k_row, &v_row}) t->set_trainable();
      Tensor y_row = attention(q_row, k_row, v_row, rows_of(s.device, {queries[i]}, {keys[i]}), c.config);
      backward(y_row, part(dy, row.query, row.queries));
      CHECK(same_bits(y_row, part(y, row.query, row.queries)));
      CHECK(same_bits(q_row.grad(), part(q.grad(), row.query, row.queries)));
      CHECK(same_bits(k_row.grad(), part(k.grad(), row.key, row.keys)));
      CHECK(same_bits(v_row.grad(), part(v.grad(), row.key, row.keys)));
    }
  }
}

TEST_CASE("one tensor may be queries, keys and values at once") {
  Setting s{test_device(2), DType::f64, 4};
  Case c{"self", {5, 3}, {5, 3}, heads(2, 2, 3)};
  Tensor x = s.constant({8, 6}, 1), dy = s.constant({8, 6}, 2);
  x.set_trainable();
  backward(attention(x, x, x, c.rows(s.device), c.config), dy);
  Naive naive(c, read_values(x), read_values(x), read_values(x), read_values(dy));
  for (std::size_t i = 0; i < naive.dq.size(); ++i) naive.dq[i] += naive.dk[i] + naive.dv[i];
  CHECK(distance(read_values(x.grad()), naive.dq) < 1e-12);
}

TEST_CASE("large scores do not overflow, and NaN stays visible") {
  Setting s{test_device(1), DType::f32, 4};
  RowSpansPtr rows = rows_of(s.device, {20}, {20});
  Tensor q = s.constant({20, 8}, 1), v = s.constant({20, 8}, 3);
  q.fill(1000);
  Tensor y = attention(q, q, v, rows, heads(1, 1, 8));
  for (float value : y.values<float>()) CHECK(std::isfinite(value));
  y = attention(q, q, v, rows, heads(1, 1, 8, 0, 5));
  for (float value : y.values<float>()) CHECK(std::isfinite(value));
  Tensor broken = s.constant({20, 8}, 3);
  change_values<float>(broken, [](auto& values) { values[5 * 8] = std::nanf(""); });  // key 5
  for (double cap : {0, 5}) {
    AttentionConfig config = heads(1, 1, 8, 0, cap);
    std::vector<float> after = attention(s.constant({20, 8}, 1), broken, v, rows, config).values<float>();
    for (std::size_t i = 0; i < after.size(); ++i) CHECK(std::isnan(after[i]) == (i / 8 >= 5));
  }
}

TEST_CASE("the workspace does not grow with the square of the tokens") {
  DevicePtr device = test_device(1);
  auto peak = [&](std::int64_t tokens) {
    std::vector<RowSpan> rows = spans_of({tokens}, {tokens});
    AttentionArgs args;
    args.q = args.k = args.v = ConstMatrix{nullptr, DType::f32, tokens, 768, 768};
    args.rows = rows;
    args.n_head = args.n_kv_head = 12, args.head_dim = 64;
    AttentionBackwardArgs back{.forward = args, .dout = args.q, .dq = {}, .dk = {}, .dv = {}};
    back.dq = back.dk = back.dv = Matrix{nullptr, DType::f32, tokens, 768, 768};
    const Kernels& kernels = device->kernels();
    return kernels.attention.scratch(*device, args) + kernels.attention_backward.scratch(*device, back);
  };
  CHECK(peak(512) < std::size_t{2} << 20);
  CHECK(peak(8192) < 4 * (std::size_t{2} << 20));
}

TEST_CASE("attention records a node only for a gradient, and says what does not fit") {
  Setting s{test_device(1), DType::f32, 1};
  Tensor q = s.constant({4, 8}, 1), k = s.constant({4, 4}, 2), v = s.constant({4, 4}, 3);
  RowSpansPtr rows = rows_of(s.device, {4}, {4});
  CHECK(!attention(q, k, v, rows, heads(2, 1, 4)).needs_grad());
  CHECK_THROWS_WITH_AS(attention(q, k, v, rows, heads(2, 1, 4, 0, -1)),
                       "attention: soft_cap: expected 0 or more, found -1.000000", ShapeError);
  CHECK_THROWS_WITH_AS(attention(q, k, v, rows, heads(3, 2, 4)),
                       "attention: 3 heads of 4 cannot share 2 key/value heads", ShapeError);
  CHECK_THROWS_WITH_AS(attention(q, k, v, rows, heads(2, 2, 4)), "attention: k [4, 4] is not made of 2 heads of 4",
                       ShapeError);
  CHECK_THROWS_WITH_AS(attention(q, k, s.constant({5, 4}, 3), rows, heads(2, 1, 4)),
                       "attention: k is [4, 4], v is [5, 4]", ShapeError);
  CHECK_THROWS_WITH_AS(attention(q, k.to(DType::f64), v, rows, heads(2, 1, 4)), "attention: q is f32, k is f64",
                       ShapeError);
  CHECK_THROWS_WITH_AS(attention(q, k, v, rows_of(s.device, {3}, {4}), heads(2, 1, 4)),
                       "attention: rows: expected as many queries as q [4, 8] has, found 3", ShapeError);
  CHECK_THROWS_WITH_AS(attention(q, k, v, rows_of(s.device, {4}, {5}), heads(2, 1, 4)),
                       "attention: rows: expected keys of k [4, 4], found some up to 5", ShapeError);
  CHECK_THROWS_AS(attention(q, k, v, nullptr, heads(2, 1, 4)), ShapeError);
  CHECK_THROWS_AS(attention(q, k, v, rows, heads(2, 1, 4, -1)), ShapeError);
}

TEST_CASE("rows' spans say what does not fit") {
  auto fails = [](std::vector<RowSpan> rows, const char* says) {
    CHECK_THROWS_WITH_AS(make_row_spans(test_device(1), std::move(rows)), says, ShapeError);
  };
  fails({{0, 3, 0, 1}}, "rows: row 0: expected at least as many keys as queries, found 3 queries, 1 keys");
  fails({{0, -1, 0, 1}}, "rows: row 0: expected at least as many keys as queries, found -1 queries, 1 keys");
  fails({{0, 3, 0, 3}, {2, 1, 3, 1}}, "rows: row 1: expected queries from 3 on, found them from 2");
  fails({{0, 3, -1, 3}}, "rows: row 0: expected keys from 0 or later on, found them from -1");
  fails({{0, 1, 5, 2}, {1, 1, 0, 3}, {2, 1, 6, 2}},
        "rows: expected keys of their own, found rows 0 and 2 with some in common");
  RowSpansPtr rows = make_row_spans(test_device(1), {{0, 1, 5, 2}, {1, 0, 6, 0}, {1, 2, 0, 3}});
  CHECK(rows->keys() == 5);
  CHECK(rows->key_end() == 7);
  CHECK(rows->first_token(1) == 1);
  CHECK(rows->first_token(3) == 3);
  CHECK(rows->on_device.values<std::int32_t>() ==
        std::vector<std::int32_t>{0, 1, 5, 2, 0, 1, 0, 6, 0, 2, 1, 2, 0, 3, 2});
}
