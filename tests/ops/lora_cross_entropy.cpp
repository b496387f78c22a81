#include <doctest/doctest.h>

#include <cmath>

#include "engine/backward.h"
#include "engine/error.h"
#include "lora/lora_head.h"
#include "ops/gemm.h"
#include "tests/device/test_device.h"
#include "tests/ops/op_case.h"

namespace loragrad {
namespace {

using Inputs = std::vector<Tensor>;
constexpr double alpha_over_r = 2.5;  // never 1: that hides scaling bugs

/// Some tokens, the last one too, have none.
Targets targets(const Setting& s, std::int64_t rows, std::int64_t vocab) {
  std::vector<std::int32_t> ids = s.indices(rows, vocab, 9).values<std::int32_t>();
  for (std::int64_t t = 0; t < rows; ++t)
    if (t % 5 == 4) ids[static_cast<std::size_t>(t)] = -100;
  return make_targets(s.device, ids);
}
Tensor loss(const Inputs& in, const Setting& s, const Parameter& head, const std::vector<LoraTerm>& terms,
            double soft_cap = 0) {
  return lora_cross_entropy(s.compute(in[0]), {head, {}, terms}, targets(s, in[0].rows(), in[2].rows()), 3, soft_cap)
      .loss;
}
Weight frozen(const Inputs& in, const Setting& s) { return Weight(s.constant({in[2].rows(), in[0].cols()}, 1)); }

Tensor plain(const Inputs& in, const Setting& s) {
  return loss(in, s, frozen(in, s), {{in[1], in[2], alpha_over_r, {}}});
}
Tensor dropped(const Inputs& in, const Setting& s) {
  return loss(in, s, frozen(in, s), {{in[1], in[2], alpha_over_r, half(s, in[0].rows(), 5)}});
}
Tensor dropped_and_capped(const Inputs& in, const Setting& s) {
  return loss(in, s, frozen(in, s), {{in[1], in[2], alpha_over_r, half(s, in[0].rows(), 5)}}, 1.5);
}
Tensor two_terms(const Inputs& in, const Setting& s) {
  return loss(in, s, frozen(in, s), {{in[1], in[2], alpha_over_r, {}}, {in[3], in[4], -0.75, {}}});
}
/// Of some tokens, one of none.
Tensor some_tokens(const Inputs& in, const Setting& s) {
  return loss(in, s, frozen(in, s),
              {{in[1], in[2], alpha_over_r, half(s, in[0].rows(), 5), {1, 4}},
               {in[3], in[4], -0.75, {}, {3, 90}},
               {in[3], in[4], 0.5, {}, {2, 2}}});
}
Tensor trained_head(const Inputs& in, const Setting& s) {
  return loss(in, s, in[3], {{in[1], in[2], alpha_over_r, {}}}, 1.5);
}

}  // namespace

std::vector<OpCase> lora_cross_entropy_cases() {
  return {{.name = "6x4, r 2", .inputs = {{6, 4}, {2, 4}, {7, 2}}, .run = plain},
          {.name = "1x1, r 1", .inputs = {{1, 1}, {1, 1}, {1, 1}}, .run = plain},
          {.name = "no rows", .inputs = {{0, 4}, {2, 4}, {5, 2}}, .run = plain},
          {.name = "dropout, capped", .inputs = {{7, 5}, {3, 5}, {5, 3}}, .run = dropped_and_capped},
          {.name = "two terms", .inputs = {{7, 5}, {3, 5}, {5, 3}, {1, 5}, {5, 1}}, .run = two_terms},
          {.name = "some tokens", .inputs = {{7, 5}, {3, 5}, {5, 3}, {1, 5}, {5, 1}}, .run = some_tokens},
          {.name = "trained head", .inputs = {{7, 3}, {2, 3}, {5, 2}, {5, 3}}, .run = trained_head},
          {.name = "large",
           .inputs = {{300, 40}, {9, 40}, {1150, 9}},
           .run = dropped,
           .finite_differences = false,
           .f32_tolerance = 1e-5,
           .bf16_tolerance = 6e-2},
          {.name = "large, two terms",
           .inputs = {{150, 40}, {9, 40}, {517, 9}, {4, 40}, {517, 4}},
           .run = two_terms,
           .finite_differences = false,
           .f32_tolerance = 1e-5,
           .bf16_tolerance = 6e-2}};
}

}  // namespace loragrad

using namespace loragrad;

namespace {

/// A head, and a term of all tokens with what merging it makes of the head.
struct Merged {
  explicit Merged(const Setting& s)
      : head(s.parameter({11, 6}, 1)),
        a(s.parameter({3, 6}, 2)),
        b(s.parameter({11, 3}, 3)),
        whole(head.to(head.dtype())) {
    gemm(*s.device, {.c = whole.mutable_matrix(), .a = b.matrix(), .b = a.matrix(), .alpha = 2.5, .beta = 1});
  }
  LoraMap map() const { return {Weight(head), {}, {{a, b, 2.5, {}}}}; }
  Tensor head, a, b, whole;
};

}  // namespace

TEST_CASE("an adapted head is the head with the adapter merged into it: loss, dx and logits") {
  Setting s{test_device(2), DType::f64, 1};
  Merged m(s);
  Tensor x = s.parameter({9, 6}, 4), y = s.parameter({9, 6}, 4);
  x.set_trainable();
  y.set_trainable();
  std::vector<std::int32_t> ids{3, -100, 0, 10, 5, 5, -100, 2, 9};
  Targets targets = make_targets(s.device, ids);
  CrossEntropy beside = lora_cross_entropy(x, m.map(), targets, 5, 2),
               within = cross_entropy(y, Weight(m.whole), targets, 5, 2);
  CHECK(beside.sum.item() == doctest::Approx(within.sum.item()));
  backward(beside.loss);
  backward(within.loss);
  std::vector<double> ours = x.grad().values<double>(), theirs = y.grad().values<double>();
  for (std::size_t i = 0; i < ours.size(); ++i) CHECK(std::abs(ours[i] - theirs[i]) < 1e-12);

  Tensor logits = Tensor::empty(s.device, {9, 11}, DType::f64), merged = Tensor::empty(s.device, {9, 11}, DType::f64);
  lora_logits(x.detach(), m.map(), logits.mutable_matrix());
  lora_logits(x.detach(), {Weight(m.whole), {}, {}}, merged.mutable_matrix());
  std::vector<double> one = logits.values<double>(), other = merged.values<double>();
  for (std::size_t i = 0; i < one.size(); ++i) CHECK(std::abs(one[i] - other[i]) < 1e-12);
}

TEST_CASE("terms that do not fit a head, or that a head does not take, are refused") {
  Setting s{test_device(1), DType::f64, 1};
  Merged m(s);
  Tensor x = s.parameter({2, 6}, 4);
  std::vector<std::int32_t> ids{3, 4};
  auto refused = [&](LoraTerm term, auto error) {
    CHECK_THROWS_AS(lora_cross_entropy(x, {Weight(m.head), {}, {term}}, make_targets(s.device, ids), 1),
                    decltype(error));
  };
  refused({m.b, m.a, 1, {}}, ShapeError(""));
  refused({.a = m.a, .b = m.b, .b_bias = s.parameter({1, 11}, 5)}, UsageError(""));
  refused({.a = m.a, .b = m.b, .magnitude = {.m = s.parameter({1, 11}, 5)}}, UsageError(""));
  CHECK_THROWS_WITH_AS(cross_entropy(x, Weight(m.head), make_targets(s.device, ids), 1, 0,
                                     {{.h = s.parameter({2, 3}, 6), .b = m.b, .tokens = {0, 1}}}),
                       "cross_entropy: h [2, 3] and B [11, 3] do not fit x [2, 6] and the head [11, 6]", ShapeError);
}
