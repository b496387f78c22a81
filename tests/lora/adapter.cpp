#include "lora/adapter.h"

#include <algorithm>

#include "tests/lora/support.h"

using namespace loragrad;
using namespace loragrad::test;

namespace {

LoraConfig config_of(std::int64_t r, double alpha) {
  LoraConfig config;
  config.r = r;
  config.lora_alpha = alpha;
  config.target_modules = {"q_proj", "down_proj"};
  return config;
}

struct Statistics {
  double mean = 0, deviation = 0, low = 0, high = 0;
};
Statistics statistics(const std::vector<float>& values) {
  Statistics s;
  for (float value : values) s.mean += value / static_cast<double>(values.size());
  for (float value : values) s.deviation += (value - s.mean) * (value - s.mean) / static_cast<double>(values.size());
  s.deviation = std::sqrt(s.deviation);
  s.low = *std::min_element(values.begin(), values.end());
  s.high = *std::max_element(values.begin(), values.end());
  return s;
}

bool zero(const Tensor& tensor) {
  auto values = tensor.values<float>();
  return std::all_of(values.begin(), values.end(), [](float value) { return value == 0; });
}

}  // namespace

TEST_CASE("a fresh adapter has A as PEFT draws it and B = 0") {
  const std::int64_t r = 32, in = 1024;
  Adapter adapter = make_adapter(test_device(1), config_of(r, 80), {{"m.q_proj", in, 48}, {"m.down_proj", 256, in}}, 3);
  REQUIRE(adapter.modules.size() == 2);
  const LoraModule& q = adapter.modules[0];
  CHECK(q.name == "m.q_proj");
  CHECK(q.scale == 2.5);
  CHECK(q.a.shape() == Shape{r, in});
  CHECK(q.b.shape() == Shape{48, r});
  CHECK(zero(q.b));
  CHECK(q.a.needs_grad());
  CHECK(q.b.needs_grad());
  // Uniform in (-1/sqrt(in), 1/sqrt(in)): deviation bound/sqrt(3); 32768 numbers.
  double bound = 1 / std::sqrt(1024.0);
  Statistics s = statistics(q.a.values<float>());
  CHECK(std::abs(s.mean) < 4 * bound / std::sqrt(3.0 * r * in));
  CHECK(s.deviation == doctest::Approx(bound / std::sqrt(3.0)).epsilon(0.01));
  CHECK(s.high <= bound);
  CHECK(s.high > 0.99 * bound);
  CHECK(s.low >= -bound);
  CHECK(s.low < -0.99 * bound);
  CHECK(statistics(adapter.modules[1].a.values<float>()).high > 1.9 * bound);  // its own `in`
}

TEST_CASE("gaussian A has deviation 1/r, with the module's own r") {
  LoraConfig config = config_of(16, 5);
  config.init_lora_weights = LoraInit::gaussian;
  config.rank_pattern = {{"down_proj", 64}};
  Adapter adapter = make_adapter(test_device(1), config, {{"m.q_proj", 2048, 8}, {"m.down_proj", 1024, 8}}, 3);
  CHECK(statistics(adapter.modules[0].a.values<float>()).deviation == doctest::Approx(1.0 / 16).epsilon(0.02));
  CHECK(std::abs(statistics(adapter.modules[0].a.values<float>()).mean) < 2e-3);
  CHECK(statistics(adapter.modules[0].a.values<float>()).high > 3.0 / 16);
  CHECK(statistics(adapter.modules[1].a.values<float>()).deviation == doctest::Approx(1.0 / 64).epsilon(0.02));
  CHECK(adapter.modules[1].a.rows() == 64);
  CHECK(adapter.modules[1].scale == 5.0 / 64);
  CHECK(zero(adapter.modules[0].b));
}

TEST_CASE("a module's numbers depend on the seed and its name, not on its neighbours") {
  auto all = llama_shapes();
  Adapter few = make_adapter(test_device(1), config_of(4, 10), all, 3);
  LoraConfig everything = config_of(4, 10);
  everything.target_modules = TargetModules::parse("all-linear");
  Adapter many = make_adapter(test_device(1), everything, all, 3),
          other = make_adapter(test_device(1), everything, all, 4);
  CHECK(few.modules.size() == 4);
  CHECK(many.modules.size() == all.size());
  for (const LoraModule& module : few.modules) {
    auto same = [&](const LoraModule& m) { return m.name == module.name; };
    auto values = module.a.values<float>();
    CHECK(values == std::find_if(many.modules.begin(), many.modules.end(), same)->a.values<float>());
    CHECK(values != std::find_if(other.modules.begin(), other.modules.end(), same)->a.values<float>());
  }
  CHECK(many.modules[0].a.values<float>() != many.modules[1].a.values<float>());
  Adapter wide = make_adapter(test_device(1), everything, all, 3, DType::f64);
  CHECK(wide.modules[0].a.values<double>() == many.modules[0].a.to(DType::f64).values<double>());
  CHECK_THROWS_AS(make_adapter(test_device(1), everything, all, 3, DType::bf16), UsageError);
}

TEST_CASE("an adapter counts its parameters as PEFT does") {
  Adapter adapter = make_adapter(test_device(1), config_of(4, 10), llama_shapes(1), 3);
  CHECK(adapter.parameters() == 4 * (16 + 16) + 4 * (32 + 16));
  CHECK(adapter.bytes() == 4u * 320);
  auto tensors = adapter.tensors();
  REQUIRE(tensors.size() == 4);
  CHECK(tensors[0].first == "model.layers.0.self_attn.q_proj.lora_A.weight");
  CHECK(tensors[3].first == "model.layers.0.mlp.down_proj.lora_B.weight");
  CHECK(trainable_parameters_text(294912, 125534208) ==
        "trainable params: 294,912 || all params: 125,534,208 || trainable%: 0.2349");
  CHECK(trainable_parameters_text(100, 1000) == "trainable params: 100 || all params: 1,000 || trainable%: 10.0000");
  CHECK(trainable_parameters_text(0, 1234567) == "trainable params: 0 || all params: 1,234,567 || trainable%: 0.0000");
}
