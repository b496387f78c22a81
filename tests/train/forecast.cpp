#include "train/forecast.h"

#include "tests/train/support.h"
#include "train/process_memory.h"

using namespace loragrad;
using namespace loragrad::test;

namespace {

/// The device's own peak in a real run, beyond what was live before the first step.
std::size_t measured(const TinyModel& folder, const LoraConfig* lora, const TrainOptions& options,
                     const Dataset& data) {
  DevicePtr device = cpu_device(1);
  std::unique_ptr<CausalLm> model =
      load_model(folder.path(), device, {.precision = Precision::automatic, .trainable = lora == nullptr});
  Adapter adapter;
  if (lora) {
    adapter = make_adapter(device, *lora, model->linear_shapes(), options.seed);
    model->attach(adapter);
  }
  std::size_t before = device->memory().live();
  device->memory().reset_peak();
  train(*model, lora ? &adapter : nullptr, data, options);
  return device->memory().peak() - before;
}

}  // namespace

TEST_CASE("the forecast is the device's own peak, to the byte, when the longest rows come together") {
  TinyModel folder;
  Dataset data = tiny_data(4);
  for (Row& row : data.rows) row.labels = row.input_ids;
  LoraConfig lora = lora_config({"q_proj", "v_proj"});
  TrainOptions options{.batch_size = 4, .steps = 3};
  for (const LoraConfig* config : {static_cast<const LoraConfig*>(&lora), static_cast<const LoraConfig*>(nullptr)}) {
    Forecast forecast = forecast_training(folder.path(), {}, config, options, data, cpu_device(1));
    CHECK(forecast.optimiser + forecast.activations == measured(folder, config, options, data));
    CHECK(forecast.optimiser > 0);
    CHECK(forecast.weights > 4 * 32 * 16);
    CHECK(forecast.weights_are_released == (config == nullptr));
    CHECK(forecast.total() > forecast.process + forecast.weights);
  }
}

TEST_CASE("the forecast is no less than a run takes") {
  TinyModel folder;
  Dataset data = tiny_data(12);
  LoraConfig lora = lora_config({}, 0.1);
  LoraConfig explicit_targets = lora;
  explicit_targets.target_modules = {"q_proj", "v_proj"};
  for (std::int64_t accum : {1, 3}) {
    TrainOptions options{.batch_size = 2, .grad_accum = accum, .epochs = 2};
    Forecast forecast = forecast_training(folder.path(), {}, &lora, options, data, cpu_device(1));
    CHECK(forecast.optimiser + forecast.activations >= measured(folder, &explicit_targets, options, data));
  }
}

TEST_CASE("longer rows and larger batches are forecast to take more") {
  TinyModel folder;
  LoraConfig lora = lora_config({"q_proj"});
  Dataset data = tiny_data(8), longer = data;
  longer.rows[3].input_ids.resize(60, 1);
  longer.rows[3].labels.resize(60, 1);
  auto activations = [&](const Dataset& d, std::int64_t batch) {
    return forecast_training(folder.path(), {}, &lora, {.batch_size = batch}, d, cpu_device(1)).activations;
  };
  CHECK(activations(longer, 2) > activations(data, 2));
  CHECK(activations(data, 4) > activations(data, 2));
  // There are only eight rows in one epoch.
  CHECK(activations(data, 800) == activations(data, 8));
}

TEST_CASE("resident memory is known") {
  CHECK(resident_bytes() > 1'000'000);
  CHECK(peak_resident_bytes() >= resident_bytes() / 2);
}
