// Attention at the sizes at which a GPU's kernels change: widths of heads, tiles, chunks of keys, alignment.
#include <doctest/doctest.h>

#include <array>
#include <string>

#include "tests/ops/attention_case.h"
#include "tests/ops/gradcheck.h"

namespace loragrad {

using namespace attention_test;

namespace {

/// 40 rows of 0 to 6 tokens.
Lengths many_rows() {
  Lengths lengths;
  for (std::int64_t i = 0; i < 40; ++i) lengths.push_back(i * 5 % 7);
  return lengths;
}

std::vector<Case> cases() {
  std::vector<Case> all = {
      {"three tiles, grouped 8/2", {90, 3}, {90, 3}, heads(8, 2, 16)},
      {"many rows", many_rows(), many_rows(), heads(2, 1, 20)},
      {"window smaller than a tile", {150}, {150}, heads(1, 1, 64, 20)},
      {"window across tiles", {100, 30}, {130, 30}, heads(2, 1, 16, 70)},
      {"decoding, 300 keys", {1, 1}, {300, 129}, heads(8, 2, 64)},
      {"decoding, window", {2, 8}, {300, 270}, heads(2, 1, 16, 140)},
      {"decoding, group of 20", {1, 3}, {150, 40}, heads(20, 1, 8)},
      {"decoding beside a long row", {1, 40, 8}, {200, 60, 8}, heads(4, 2, 8)},
      {"decoding, gaps of a chunk and more", {1, 2, 90, 1}, {300, 129, 150, 140}, heads(4, 2, 16), false, 200, true},
  };
  for (std::int64_t dim : {20, 64, 80, 96, 128, 192, 256})
    all.push_back({"width of heads", {40, 1}, {40, 140}, heads(2, 1, dim)});
  for (std::int64_t dim : {64, 128, 192, 256})
    all.push_back({"width of heads, cap", {40, 1}, {40, 300}, heads(2, 1, dim, 0, 1.5)});
  return all;
}

/// Columns of one matrix [24, 400] with 2 heads of 64 and a key/value head: `k` and `v` say where they begin.
OpCase columns(std::int64_t k, std::int64_t v) {
  auto run = [k, v](const std::vector<Tensor>& in, const Setting& s) {
    Tensor x = s.compute(in[0]);
    return attention(x.cols(8, 128), x.cols(k, 64), x.cols(v, 64), rows_of(s.device, {20, 4}, {20, 4}),
                     heads(2, 1, 64));
  };
  return {.name = "columns from " + std::to_string(k) + " and " + std::to_string(v),
          .inputs = {{24, 400}},
          .run = run,
          .f32_tolerance = 2e-5,
          .bf16_tolerance = 4e-2};
}

/// The kernels on tensors of their own.
struct Call {
  Call(const Case& c, const DevicePtr& device, DType dtype)
      : rows(c.rows(device)), device(device), sum(accumulation_type(dtype)) {
    Setting s{device, dtype, 5};
    Shape q_shape{c.tokens(), c.config.n_head * c.config.head_dim},
        k_shape{c.cached(), c.config.n_kv_head * c.config.head_dim};
    tensors = {s.constant(q_shape, 1), s.constant(k_shape, 2), s.constant(k_shape, 3)};
    out = Tensor::empty(device, q_shape, dtype), dout = s.constant(q_shape, 4);
    logsumexp = Tensor::empty(device, {q_shape.rows, c.config.n_head}, sum);
    args.q = tensors[0].matrix(), args.k = tensors[1].matrix(), args.v = tensors[2].matrix();
    args.out = out.mutable_matrix(), args.logsumexp = logsumexp.mutable_matrix().data;
    args.rows = rows->spans;
    args.device_rows = reinterpret_cast<const RowSpan*>(rows->on_device.data<std::int32_t>());
    args.n_head = c.config.n_head, args.n_kv_head = c.config.n_kv_head, args.head_dim = c.config.head_dim;
    args.window = c.config.window, args.scale = c.config.scale;
    device->kernels().attention(*device, args);
  }
  /// The gradients whose bit is set in `mask`; with `before`, added to it.
  std::array<Tensor, 3> gradients(unsigned mask, const std::array<Tensor, 3>* before) {
    std::array<Tensor, 3> result;
    AttentionBackwardArgs back{.forward = args, .dout = dout.matrix(), .dq = {}, .dk = {}, .dv = {}};
    Matrix* targets[] = {&back.dq, &back.dk, &back.dv};
    double* betas[] = {&back.beta_q, &back.beta_k, &back.beta_v};
    for (std::size_t i = 0; i < 3; ++i) {
      if (!(mask >> i & 1)) continue;
      result[i] =
          before ? (*before)[i].to(sum).to(dout.dtype()) : Tensor::empty(device, tensors[i].shape(), dout.dtype());
      *targets[i] = result[i].mutable_matrix();
      *betas[i] = before ? 1 : 0;
    }
    device->kernels().attention_backward(*device, back);
    return result;
  }
  RowSpansPtr rows;
  DevicePtr device;
  DType sum;
  std::array<Tensor, 3> tensors;
  Tensor out, dout, logsumexp;
  AttentionArgs args;
};

}  // namespace
}  // namespace loragrad

using namespace loragrad;

TEST_CASE("attention is its definition, whatever the shape") {
  for (const Case& c : cases()) {
    CAPTURE(c.config.head_dim);
    check_definition(c);
    for (DType dtype : {DType::f32, DType::bf16}) CHECK(precision_failure(c.op_case(), dtype) == "");
  }
}

TEST_CASE("attention reads columns of a wider matrix, aligned or not") {
  for (const OpCase& c : {columns(136, 200), columns(136, 211), columns(143, 336)})
    for (DType dtype : {DType::f32, DType::bf16}) CHECK(precision_failure(c, dtype) == "");
}

TEST_CASE("each gradient of attention comes alone or with others, and is added to what is there") {
  DevicePtr device = test_device(2);
  for (DType dtype : {DType::f32, DType::f64, DType::bf16})
    for (std::int64_t dim : {8, 80, 136}) {
      Call call({"", {30, 5}, {33, 5}, heads(4, 2, dim)}, device, dtype);
      std::array<Tensor, 3> all = call.gradients(7, nullptr);
      double tolerance = dtype == DType::bf16 ? 2e-2 : dtype == DType::f32 ? 1e-5 : 1e-12;
      for (unsigned mask = 1; mask < 8; ++mask)
        for (bool added : {false, true}) {
          CAPTURE(name_of(dtype));
          CAPTURE(dim);
          CAPTURE(mask);
          std::array<Tensor, 3> some = call.gradients(mask, added ? &call.tensors : nullptr);
          for (std::size_t i = 0; i < 3; ++i) {
            if (!(mask >> i & 1)) continue;
            std::vector<double> wanted = read_values(all[i]), before = read_values(call.tensors[i]);
            for (std::size_t j = 0; j < wanted.size(); ++j) wanted[j] += added ? before[j] : 0;
            CHECK(distance(read_values(some[i]), wanted) < tolerance);
          }
        }
    }
}
