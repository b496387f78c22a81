#include "train/not_finite.h"

#include <limits>

#include "tests/train/support.h"

using namespace loragrad;
using namespace loragrad::test;

TEST_CASE("a gradient that is not finite names its module and changes nothing") {
  TinyModel folder;
  std::unique_ptr<CausalLm> model = load_model(folder.path(), test_device(1));
  Adapter adapter = tiny_adapter(*model, {"q_proj", "k_proj", "v_proj"}, 0, false);
  // With A = 0 the forward pass is the base model's; on the way back B's huge values overflow in this module alone, as
  // nothing below the first layer's projections is trained.
  LoraModule& v_proj = adapter.modules[2];
  CHECK(v_proj.name == "model.layers.0.self_attn.v_proj");
  v_proj.a.fill(0);
  v_proj.b.fill(std::numeric_limits<float>::max());
  v_proj.scale = 1e6;
  std::vector<float> before = values_of(adapter);
  auto go = [&] { train(*model, &adapter, tiny_data(4), {.clip = 0, .steps = 3}); };
  std::string message = message_of<NumericError>(go);
  CHECK(contains(message, "step 1: expected a finite loss and gradient norm, found "));
  CHECK(contains(message, "the first module whose gradient is not: model.layers.0.self_attn.v_proj"));
  CHECK(values_of(adapter) == before);
}

TEST_CASE("a loss that is not finite names where it came from, and stops the run before the update") {
  TinyModel folder;
  auto refusal = [&](const char* poisoned, bool adapter_itself) {
    std::unique_ptr<CausalLm> model =
        load_model(folder.path(), test_device(1), {.precision = Precision::f32, .trainable = !adapter_itself});
    Adapter adapter = tiny_adapter(*model, query_value, 0.2, false);
    double nan = std::numeric_limits<double>::quiet_NaN();
    for (LoraModule& module : adapter.modules)
      if (adapter_itself && module.name == poisoned) module.a.fill(nan);
    for (auto [name, tensor] : model->trainable())
      if (name == poisoned) tensor.fill(nan);
    std::vector<float> before = adapter.modules[0].b.values<float>();
    std::string message = message_of<NumericError>([&] {
      train(*model, adapter_itself ? &adapter : nullptr, tiny_data(4), {.batch_size = 2, .grad_accum = 2, .steps = 3});
    });
    CHECK(adapter.modules[0].b.values<float>() == before);
    CHECK(contains(message, "step 1: expected a finite loss and gradient norm, found nan and nan; "));
    return message.substr(message.find("; ") + 2);
  };
  CHECK(refusal("model.layers.1.self_attn.q_proj", true) ==
        "the first module whose output is not: model.layers.1.self_attn.q_proj");
  CHECK(refusal("model.layers.0.mlp.down_proj.weight", false) ==
        "the first module whose output is not: model.layers.0.mlp.down_proj");
  CHECK(refusal("model.layers.1.input_layernorm.weight", false) ==
        "the first value that is not comes after model.layers.0.mlp.down_proj and before "
        "model.layers.1.self_attn.q_proj");
  CHECK(refusal("model.layers.0.input_layernorm.weight", false) ==
        "the first value that is not comes before model.layers.0.self_attn.q_proj");
  CHECK(refusal("model.norm.weight", false) == "the first value that is not comes after model.layers.1.mlp.down_proj");
}
