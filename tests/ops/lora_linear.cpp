#include "lora/lora_linear.h"

#include <doctest/doctest.h>

#include <map>
#include <string_view>

#include "engine/backward.h"
#include "engine/error.h"
#include "ops/cpu/cpu_device.h"
#include "ops/linear.h"
#include "ops/norm.h"
#include "tests/device/test_device.h"
#include "tests/ops/op_case.h"

namespace loragrad {
namespace {

using Inputs = std::vector<Tensor>;
constexpr double alpha_over_r = 2.5;  // never 1: that hides scaling bugs

Weight w_of(const Setting& s, const Inputs& in, WeightLayout layout) {
  std::int64_t d = in[0].cols(), out = in[2].rows();
  return Weight(s.constant(layout == WeightLayout::out_in ? Shape{out, d} : Shape{d, out}, 1), layout);
}
Tensor plain(const Inputs& in, const Setting& s) {
  return lora_linear(s.compute(in[0]), w_of(s, in, WeightLayout::out_in), Weight(s.parameter({1, in[2].rows()}, 2)),
                     {{in[1], in[2], alpha_over_r, {}}});
}
Tensor conv1d(const Inputs& in, const Setting& s) {
  return lora_linear(s.compute(in[0]), w_of(s, in, WeightLayout::in_out), Weight(), {{in[1], in[2], alpha_over_r, {}}});
}
Tensor dropped(const Inputs& in, const Setting& s) {
  return lora_linear(s.compute(in[0]), w_of(s, in, WeightLayout::out_in), Weight(),
                     {{in[1], in[2], alpha_over_r, half(s, in[0].rows(), 5)}});
}
Tensor two_terms(const Inputs& in, const Setting& s) {
  return lora_linear(s.compute(in[0]), w_of(s, in, WeightLayout::out_in), Weight(),
                     {{in[1], in[2], alpha_over_r, half(s, in[0].rows(), 5)}, {in[3], in[4], -0.75, {}}});
}
/// Beside a base that is trained itself.
Tensor trained_base(const Inputs& in, const Setting& s) {
  return lora_linear(s.compute(in[0]), in[3], in[4], {{in[1], in[2], alpha_over_r, {}}});
}
/// Terms for some of the tokens, one of them for none.
Tensor some_tokens(const Inputs& in, const Setting& s) {
  return lora_linear(s.compute(in[0]), w_of(s, in, WeightLayout::out_in), Weight(s.parameter({1, in[2].rows()}, 2)),
                     {{in[1], in[2], alpha_over_r, half(s, in[0].rows(), 5), {1, 4}},
                      {in[3], in[4], -0.75, {}, {3, 90}},
                      {in[3], in[4], 0.5, {}, {2, 2}}});
}
/// A bias of B, for all tokens and for some of them.
Tensor b_bias(const Inputs& in, const Setting& s) {
  return lora_linear(
      s.compute(in[0]), w_of(s, in, WeightLayout::out_in), Weight(s.parameter({1, in[2].rows()}, 2)),
      {{in[1], in[2], alpha_over_r, {}, {}, false, in[3]}, {in[1], in[2], -0.75, {}, {1, 4}, false, in[3]}});
}
/// x is a norm's output: a recipe that two adapters share.
Tensor shared_recipe(const Inputs& in, const Setting& s) {
  Tensor x = rms_norm(in[0], Weight(s.parameter({1, in[0].cols()}, 3)), 1e-5, s.dtype);
  Tensor y =
      lora_linear(x, w_of(s, in, WeightLayout::out_in), Weight(), {{in[1], in[2], alpha_over_r, half(s, x.rows(), 5)}});
  return lora_linear(y, Weight(s.constant({3, y.cols()}, 4)), Weight(), {{in[3], in[4], 0.5, half(s, x.rows(), 6)}});
}

}  // namespace

std::vector<OpCase> lora_linear_cases() {
  return {{.name = "6x7, r 2", .inputs = {{6, 7}, {2, 7}, {5, 2}}, .run = plain, .bf16_tolerance = 6e-2},
          {.name = "1x1, r 3", .inputs = {{1, 1}, {3, 1}, {1, 3}}, .run = plain, .bf16_tolerance = 6e-2},
          {.name = "no rows", .inputs = {{0, 7}, {2, 7}, {5, 2}}, .run = plain},
          {.name = "[in, out]", .inputs = {{4, 3}, {2, 3}, {5, 2}}, .run = conv1d, .bf16_tolerance = 6e-2},
          {.name = "dropout", .inputs = {{6, 9}, {2, 9}, {5, 2}}, .run = dropped, .bf16_tolerance = 6e-2},
          {.name = "two adapters",
           .inputs = {{6, 9}, {2, 9}, {5, 2}, {3, 9}, {5, 3}},
           .run = two_terms,
           .bf16_tolerance = 6e-2},
          {.name = "some tokens",
           .inputs = {{6, 9}, {2, 9}, {5, 2}, {3, 9}, {5, 3}},
           .run = some_tokens,
           .bf16_tolerance = 6e-2},
          {.name = "bias of B", .inputs = {{6, 9}, {2, 9}, {5, 2}, {1, 5}}, .run = b_bias, .bf16_tolerance = 6e-2},
          {.name = "trained base",
           .inputs = {{4, 3}, {2, 3}, {5, 2}, {5, 3}, {1, 5}},
           .run = trained_base,
           .bf16_tolerance = 6e-2},
          {.name = "shared recipe",
           .inputs = {{6, 9}, {2, 9}, {5, 2}, {2, 5}, {3, 2}},
           .run = shared_recipe,
           .f32_tolerance = 1e-5,
           .bf16_tolerance = 1e-1},
          {.name = "large",
           .inputs = {{301, 70}, {5, 70}, {131, 5}},
           .run = dropped,
           .finite_differences = false,
           .f32_tolerance = 1e-5,
           .bf16_tolerance = 6e-2}};
}

}  // namespace loragrad

using namespace loragrad;

TEST_CASE("with B = 0 the result is the base's, bit for bit, and dA = 0") {
  for (DType dtype : {DType::f32, DType::bf16, DType::f64}) {
    Setting s{test_device(2), dtype, 3};
    Tensor x = s.constant({9, 12}, 1), a = s.parameter({3, 12}, 2);
    Tensor b = Tensor::zeros(s.device, {7, 3}, s.leaf_dtype());
    a.set_trainable();
    b.set_trainable();
    Weight w(s.constant({7, 12}, 3));
    Tensor y = lora_linear(x, w, Weight(), {{a, b, 2.5, {}}});
    CHECK(read_values(y) == read_values(linear(x, w, Weight())));
    backward(y, s.constant({9, 7}, 4));
    bool any_b = false;
    for (double v : read_values(a.grad())) CHECK(v == 0);
    for (double v : read_values(b.grad())) any_b = any_b || v != 0;
    CHECK(any_b);
  }
}

TEST_CASE("no buffer of the weight's size is allocated in backward, and only h is kept beside x") {
  Setting s{test_device(2), DType::f32, 3};
  Tensor x = s.constant({4, 256}, 1).set_trainable(), a = s.parameter({2, 256}, 2).set_trainable(),
         b = s.parameter({512, 2}, 3).set_trainable();
  Tensor w = s.constant({512, 256}, 4);
  Tensor y = lora_linear(x, Weight(w), Weight(), {{a, b, 2.5, {}}});
  std::map<std::string_view, std::size_t> saved;
  for_each_node(y, [&](const Node& node) { saved[node.name()] += node.saved_bytes(); });
  CHECK(saved["lora_down"] == x.bytes() + a.bytes());
  CHECK(saved["lora_linear"] == b.bytes() + 4 * 2 * 4);
  Tensor dy = s.constant({4, 512}, 5);
  s.device->memory().reset_peak();
  backward(y, dy);
  CHECK(s.device->memory().largest() < w.bytes() / 8);
}

TEST_CASE("lora_linear names the shapes that do not fit") {
  Setting s{test_device(1), DType::f32, 3};
  Tensor x = s.constant({4, 6}, 1), a = s.parameter({2, 5}, 2), b = s.parameter({7, 2}, 3);
  CHECK_THROWS_WITH_AS(lora_linear(x, Weight(s.constant({7, 6}, 4)), Weight(), {{a, b, 1, {}}}),
                       doctest::Contains("[2, 5]"), ShapeError);
  a = s.parameter({2, 6}, 2);
  CHECK_THROWS_WITH_AS(
      lora_linear(x, Weight(s.constant({7, 6}, 4)), {}, {{a, b, 1, {}, {}, false, s.parameter({1, 6}, 5)}}),
      doctest::Contains("B's bias [1, 6] does not fit a weight of out = 7"), ShapeError);
}

TEST_CASE("dropout's tokens are checked, and rank 0 is the base, with dropout too") {
  Setting s{test_device(1), DType::f32, 3}, other{test_device(1), DType::f32, 3};
  Tensor x = s.parameter({6, 4}, 1).set_trainable(), a = s.parameter({2, 4}, 2), b = s.parameter({5, 2}, 3);
  Weight w(s.constant({5, 4}, 4));
  Dropout bad = half(s, 6, 5);
  bad.tokens = bad.tokens.cols(0, 1);
  CHECK_THROWS_AS(lora_linear(x, w, {}, {{a, b, 1, bad}}), ShapeError);
  CHECK_THROWS_AS(lora_linear(x, w, {}, {{a, b, 1, half(other, 6, 5)}}), ShapeError);
  CHECK_THROWS_AS(lora_linear(x, w, {}, {{a, b, 1, half(s, 5, 5)}}), ShapeError);

  Tensor y = lora_linear(x, w, {}, {{s.parameter({0, 4}, 2), s.parameter({5, 0}, 3), 1, half(s, 6, 5)}});
  CHECK(read_values(y) == read_values(linear(x, w, {})));
  backward(y, s.constant({6, 5}, 6));
  std::vector<double> with = read_values(x.grad());
  x.clear_grad();
  backward(linear(x, w, {}), s.constant({6, 5}, 6));
  CHECK(read_values(x.grad()) == with);
}

TEST_CASE("rows alone: a row has the same bits alone, and with an adapter for some rows or for all") {
  for (DType dtype : {DType::f32, DType::bf16}) {
    Setting s{cpu_device(2), dtype, 7};
    Tensor x = s.constant({21, 700}, 1);
    Weight w(s.constant({33, 700}, 4));
    Tensor a = s.parameter({6, 700}, 2), b = s.parameter({33, 6}, 3);
    auto bits = [&](const Tensor& x, IndexRange tokens, std::int64_t row) {
      LoraMap map{w, {}, {{a, b, 2.5, {}, tokens, true}}, true};
      return read_values(lora_linears(x, {map}).front().rows(row, 1));
    };
    std::vector<double> all = bits(x, {}, 7);
    CHECK(bits(x, {5, 9}, 7) == all);
    CHECK(bits(x, {7, 8}, 7) == all);
    CHECK(bits(x.rows(7, 1), {}, 0) == all);
    CHECK(bits(x.rows(2, 17), {}, 5) == all);
    CHECK(bits(x, {8, 21}, 7) != all);
  }
}
