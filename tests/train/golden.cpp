// Whole training runs against PEFT's (golden/families of the shared reference folder).
#include <cmath>
#include <cstring>

#include "io/json.h"
#include "io/safetensors.h"
#include "lora/adapter_file.h"
#include "tests/train/support.h"

using namespace loragrad;
using namespace loragrad::test;

namespace {

void check_run(const std::string& family) {
  std::string folder = shared("golden/families/" + family);
  if (folder.empty()) return;
  CAPTURE(family);
  Json json = read_json_file(folder + "/golden.json");
  JsonRef golden(json, "golden.json");
  std::unique_ptr<CausalLm> model = load_model(folder + "/model", cpu_device(2));
  Adapter adapter = load_adapter(folder + "/adapter", model->device(), model->linear_shapes(), true);
  model->attach(adapter);
  Dataset data = load_dataset(folder + "/rows.jsonl", nullptr, {512, {}, model->config().vocab_size});

  std::vector<JsonRef> losses = golden.at("loss_before_each_step").elements();
  TrainOptions options;
  options.lr = 2e-3;
  options.weight_decay = 0.01;
  options.schedule = ScheduleKind::constant;
  options.clip = 0;
  options.batch_size = 2;
  options.shuffle = false;
  options.steps = static_cast<std::int64_t>(losses.size());
  TrainObserver observer;
  observer.on_step = [&](const StepReport& report) {
    double expected = losses[static_cast<std::size_t>(report.step - 1)].number(0, 100);
    CHECK(report.loss == doctest::Approx(expected).epsilon(1e-4));
  };
  train(*model, &adapter, data, options, nullptr, observer);

  SafetensorsFile trained = open_safetensors(folder + "/adapter_trained/adapter_model.safetensors");
  for (const auto& [name, tensor] : adapter.tensors()) {
    const StoredTensor* expected = trained.find("base_model.model." + name);
    REQUIRE(expected != nullptr);
    std::vector<float> values = tensor.values<float>(), wanted(values.size());
    REQUIRE(expected->byte_count == values.size() * sizeof(float));
    std::memcpy(wanted.data(), expected->bytes, expected->byte_count);
    double difference = 0, norm = 0;
    for (std::size_t i = 0; i < values.size(); ++i) {
      difference += std::pow(values[i] - wanted[i], 2);
      norm += std::pow(wanted[i], 2);
    }
    CAPTURE(name);
    CHECK(std::sqrt(difference / norm) < 2e-3);
  }
}

}  // namespace

TEST_CASE("a run's losses and trained tensors are PEFT's") {
  for (const char* family : {"opt", "gpt2", "llama", "llama-rslora"}) check_run(family);
}
