#include "lora/lora_embedding.h"

#include <doctest/doctest.h>

#include "engine/error.h"
#include "tests/device/test_device.h"
#include "tests/ops/op_case.h"

namespace loragrad {
namespace {

using Inputs = std::vector<Tensor>;
constexpr double alpha_over_r = 2.5;  // never 1: that hides scaling bugs

Tensor looked_up(const Inputs& in, const Setting& s, std::int64_t tokens, std::vector<LoraTerm> terms, double scale) {
  Weight table(s.constant({in[0].cols(), in[1].rows()}, 1), WeightLayout::in_out);
  return lora_embedding(s.indices(tokens, in[0].cols(), 3), {table, {}, std::move(terms)}, s.dtype, scale);
}

}  // namespace

std::vector<OpCase> lora_embedding_cases() {
  auto plain = [](std::int64_t tokens, double scale = 1) {
    return [=](const Inputs& in, const Setting& s) {
      return looked_up(in, s, tokens, {{in[0], in[1], alpha_over_r}}, scale);
    };
  };
  auto some_tokens = [](const Inputs& in, const Setting& s) {
    return looked_up(
        in, s, 7,
        {{in[0], in[1], alpha_over_r, {}, {1, 4}}, {in[2], in[3], -0.75, {}, {3, 90}}, {in[2], in[3], 0.5, {}, {2, 2}}},
        1.5);
  };
  return {{.name = "9 tokens of 4", .inputs = {{2, 4}, {5, 2}}, .run = plain(9), .bf16_tolerance = 6e-2},
          {.name = "one token", .inputs = {{3, 1}, {1, 3}}, .run = plain(1), .bf16_tolerance = 6e-2},
          {.name = "scaled", .inputs = {{2, 4}, {5, 2}}, .run = plain(9, 2.5), .bf16_tolerance = 6e-2},
          {.name = "no tokens", .inputs = {{2, 4}, {5, 2}}, .run = plain(0)},
          {.name = "two adapters, some tokens",
           .inputs = {{2, 4}, {5, 2}, {3, 4}, {5, 3}},
           .run = some_tokens,
           .bf16_tolerance = 6e-2},
          {.name = "large",
           .inputs = {{3, 97}, {131, 3}},
           .run = plain(70),
           .finite_differences = false,
           .bf16_tolerance = 6e-2}};
}

}  // namespace loragrad

using namespace loragrad;

TEST_CASE("an adapted embedding, by hand: the adapter's part is scaled as the table's") {
  DevicePtr device = test_device(1);
  auto values = [&](Shape shape, std::vector<float> list) { return Tensor::from(device, shape, std::move(list)); };
  std::int32_t two[] = {2, 0};
  LoraMap map{Weight(values({3, 2}, {1, 2, 3, 4, 5, 6}), WeightLayout::in_out), {}, {}};
  map.terms.push_back({values({1, 3}, {1, 7, -2}), values({2, 1}, {3, -1}), 0.5});
  // of token 2: (5, 6) + 0.5 (-2) (3, -1); of token 0: (1, 2) + 0.5 (3, -1)
  CHECK(lora_embedding(Tensor::from(device, {2, 1}, two), map, DType::f32, 10).values<float>() ==
        std::vector<float>{20, 70, 25, 15});
}

TEST_CASE("lora_embedding refuses what does not fit") {
  DevicePtr device = test_device(1);
  auto zeros = [&](Shape shape) { return Tensor::zeros(device, shape, DType::f32); };
  Tensor ids = Tensor::zeros(device, {2, 1}, DType::i32);
  Weight table(zeros({3, 2}), WeightLayout::in_out);
  auto refused = [&](const LoraMap& map) { CHECK_THROWS_AS(lora_embedding(ids, map, DType::f32), ShapeError); };
  refused({{}, {}, {}});
  refused({Weight(zeros({3, 2})), {}, {}});
  refused({table, {}, {{zeros({1, 2}), zeros({2, 1})}}});
  refused({table, {}, {{zeros({1, 3}), zeros({3, 1})}}});
  CHECK_THROWS_AS(lora_embedding(zeros({2, 1}), {table, {}, {}}, DType::f32), ShapeError);
  Parameter trained(zeros({3, 2}).set_trainable(), WeightLayout::in_out);
  CHECK_THROWS_AS(lora_embedding(ids, {trained, {}, {}}, DType::f32), UsageError);
  LoraTerm dropped{zeros({1, 3}), zeros({2, 1}), 1, {0.5, 1, Tensor::zeros(device, {2, 2}, DType::i32)}};
  CHECK_THROWS_AS(lora_embedding(ids, {table, {}, {dropped}}, DType::f32), UsageError);
}
