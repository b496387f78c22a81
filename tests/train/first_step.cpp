#include "train/first_step.h"

#include "tests/train/support.h"

using namespace loragrad;
using namespace loragrad::test;

TEST_CASE("queries and keys need a gradient only where attention has a choice") {
  TinyModel folder;
  std::unique_ptr<CausalLm> model = load_model(folder.path(), test_device(1));
  Adapter adapter = tiny_adapter(*model, {"q_proj", "k_proj", "v_proj"});
  for (LoraModule& module : adapter.modules) {
    Tensor gradient = Tensor::zeros(model->device(), module.b.shape(), DType::f32);
    if (module.name.ends_with("v_proj")) gradient.fill(1);
    module.b.impl()->grad = gradient;
  }
  Row one{{5}, {5}}, two{{3, 4}, {3, 4}}, prompt{{3, 4, 5}, {no_label, 4, no_label}}, three{{3, 4, 5}, {3, 4, 5}};
  auto before = [&](const StepRows& rows) { FirstStepProof(adapter).before_update(rows); };
  before({&one, &two, &prompt});
  CHECK(contains(message_of<NumericError>([&] {
                   before({&one, &three});
                 }),
                 "layers.0.self_attn.q_proj: expected a gradient"));
  // The values are never let off.
  adapter.modules[2].b.impl()->grad.fill(0);
  CHECK(contains(message_of<NumericError>([&] { before({&two}); }), "layers.0.self_attn.v_proj: expected a gradient"));
  adapter.modules[2].b.clear_grad();
  CHECK(contains(message_of<NumericError>([&] { before({&two}); }), "layers.0.self_attn.v_proj: expected a gradient"));
}

TEST_CASE("what dropout left nothing of is looked at again in the next step") {
  TinyModel folder;
  std::unique_ptr<CausalLm> model = load_model(folder.path(), test_device(1));
  Adapter adapter = tiny_adapter(*model, {"v_proj"}, 0.5);
  for (LoraModule& module : adapter.modules)
    module.b.impl()->grad = Tensor::zeros(model->device(), module.b.shape(), DType::f32);
  adapter.modules[0].b.grad().fill(1);
  Row row{{3, 4, 5}, {3, 4, 5}};
  FirstStepProof proof(adapter);
  proof.before_update({&row});
  adapter.modules[0].b.fill(1);
  proof.after_update();
  CHECK(!proof.is_complete());
  adapter.modules[0].b.grad().fill(0);  // proved already
  adapter.modules[1].b.grad().fill(1);
  proof.before_update({&row});
  CHECK(proof.is_complete());
  CHECK(contains(message_of<NumericError>([&] { proof.after_update(); }),
                 "layers.1.self_attn.v_proj: expected the first"));
}

TEST_CASE("what the first step leaves unchanged is named") {
  TinyModel folder;
  std::unique_ptr<CausalLm> model = load_model(folder.path(), test_device(1));
  Adapter adapter = tiny_adapter(*model, {"v_proj"});
  for (LoraModule& module : adapter.modules) {
    module.b.impl()->grad = Tensor::zeros(model->device(), module.b.shape(), DType::f32);
    module.b.grad().fill(1);
  }
  Row row{{3, 4, 5}, {3, 4, 5}};
  FirstStepProof proof(adapter);
  proof.before_update({&row});
  adapter.modules[0].b.fill(1);
  CHECK(contains(message_of<NumericError>([&] { proof.after_update(); }),
                 "layers.1.self_attn.v_proj: expected the first step to change"));
  adapter.modules[1].b.fill(1);
  proof.after_update();
}

TEST_CASE("a module that takes no part stops the run") {
  TinyModel folder;
  std::unique_ptr<CausalLm> model = load_model(folder.path(), test_device(1));
  Adapter adapter = tiny_adapter(*model, query_value);
  for (const Tensor& matrix : {adapter.modules[2].a, adapter.modules[2].b}) matrix.impl()->trainable = false;
  std::string name = adapter.modules[2].name;
  CHECK(name == "model.layers.1.self_attn.q_proj");
  // The warm-up's first step has no learning rate: nothing is to be proved there.
  std::int64_t steps = 0;
  TrainObserver observer;
  observer.on_step = [&](const StepReport&) { ++steps; };
  std::string message = message_of<NumericError>([&] {
    train(*model, &adapter, tiny_data(4), {.warmup_steps = 1, .batch_size = 4, .steps = 3}, nullptr, observer);
  });
  CHECK(contains(message, name + ": expected a gradient on lora_B.weight in the first step, found none"));
  CHECK(steps == 1);
}

TEST_CASE("a module whose gradient is zero, or that stays as it was, stops the run") {
  TinyModel folder;
  std::unique_ptr<CausalLm> model = load_model(folder.path(), test_device(1));
  Adapter adapter = tiny_adapter(*model, query_value, 0, false);
  adapter.modules[1].a.fill(0);
  CHECK(contains(message_of<NumericError>([&] { train(*model, &adapter, tiny_data(4), {.steps = 1}); }),
                 adapter.modules[1].name + ": expected a gradient on lora_B.weight in the first step, found zeros"));
  Adapter other = tiny_adapter(*model, query_value, 0, false);
  CHECK(contains(message_of<NumericError>([&] { train(*model, &other, tiny_data(4), {.lr = 1e-30, .steps = 1}); }),
                 other.modules[0].name + ": expected the first step to change lora_B.weight, found it unchanged"));
}

TEST_CASE("queries and keys of rows of two tokens need no gradient") {
  TinyModel folder;
  std::unique_ptr<CausalLm> model = load_model(folder.path(), test_device(1));
  Adapter adapter = tiny_adapter(*model, {"q_proj", "k_proj", "v_proj"});
  Dataset data = tiny_data(1);
  data.rows = {{{3, 4}, {3, 4}}, {{5}, {5}}};
  CHECK(train(*model, &adapter, data, {.steps = 2, .shuffle = false}).steps == 2);
}
