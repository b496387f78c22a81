#include "train/forecast.h"

#include <chrono>

#include "ops/meta_device.h"
#include "tests/train/support.h"
#include "train/frozen.h"
#include "train/process_memory.h"
#include "train/step.h"

using namespace loragrad;
using namespace loragrad::test;

namespace {

/// The memory that the device came to hold in a real run, the model's own included.
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
  train(*model, lora ? &adapter : nullptr, data, options);
  return device->footprint();
}

std::size_t device_bytes(const Forecast& f) { return f.trained + f.optimiser + f.activations; }

}  // namespace

TEST_CASE("the forecast is how far the device's memory reaches when the longest rows come together") {
  TinyModel folder;
  Dataset data = tiny_data(4);
  for (Row& row : data.rows) row.labels = row.input_ids;
  LoraConfig lora = lora_config({"q_proj", "v_proj"}, 0.1);
  for (bool checkpoint : {false, true})
    for (const LoraConfig* config : {static_cast<const LoraConfig*>(&lora), static_cast<const LoraConfig*>(nullptr)}) {
      TrainOptions options{.batch_size = 4, .steps = 3, .shuffle = false, .checkpoint_activations = checkpoint};
      Forecast forecast = forecast_training(folder.path(), {}, config, options, data, cpu_device(1));
      double found = static_cast<double>(measured(folder, config, options, data));
      // Rows are in another order, and a few tokens without a label are counted as if they had one.
      CHECK(static_cast<double>(device_bytes(forecast)) == doctest::Approx(found).epsilon(0.04));
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
    CHECK(forecast.trained + forecast.optimiser + forecast.activations >=
          measured(folder, &explicit_targets, options, data));
  }
}

TEST_CASE("rows without a label are forecast as if they had one") {
  // Long prompts that are cut before their completion begins.
  TinyModel folder;
  LoraConfig lora = lora_config({"q_proj", "v_proj"});
  Dataset data = tiny_data(8), cut = data;
  for (Row& row : cut.rows) row.labels.assign(row.labels.size(), no_label);
  auto forecast = [&](const Dataset& rows) {
    return device_bytes(forecast_training(folder.path(), {}, &lora, {.batch_size = 4}, rows, cpu_device(1)));
  };
  CHECK(forecast(cut) >= forecast(data));
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

TEST_CASE("checkpointed blocks, fewer rows at a time and shorter evaluations are forecast to take less") {
  TinyModel folder;
  LoraConfig lora = lora_config({"q_proj", "v_proj"});
  Dataset data = tiny_data(8), eval = tiny_data(300);
  auto activations = [&](TrainOptions options, const Dataset* with) {
    options.batch_size = 8;
    return forecast_training(folder.path(), {}, &lora, options, data, cpu_device(1), with).activations;
  };
  std::size_t direct = activations({}, nullptr);
  CHECK(activations({.checkpoint_activations = true}, nullptr) < direct);
  CHECK(activations({.micro_batch = 2}, nullptr) < direct);
  CHECK(activations({}, &eval) > direct);
  CHECK(activations({.micro_batch = 2}, &eval) < activations({}, &eval));
}

TEST_CASE("a new model's forecast is how far the device's memory reaches") {
  TinyModel folder;
  Dataset data = tiny_data(4);
  for (Row& row : data.rows) row.labels = row.input_ids;
  TrainOptions options{.batch_size = 4, .steps = 3};
  std::string config = folder / "source/config.json";
  Forecast forecast = forecast_pretraining(config, options, data, cpu_device(1));
  DevicePtr device = cpu_device(1);
  auto model = new_model(config, device, 1);
  CHECK(forecast.trained == device->memory().live());
  train(*model, nullptr, data, options);
  CHECK(static_cast<double>(device_bytes(forecast)) ==
        doctest::Approx(static_cast<double>(device->footprint())).epsilon(0.04));
  CHECK(forecast.weights == 0);
}

TEST_CASE("a vocabulary of 262,144 adds no more than 64 MiB beyond its weights") {
  TinyModel folder;
  Dataset data;
  Row row;
  row.input_ids.assign(1024, 1);
  row.labels = row.input_ids;
  data.rows.assign(4, row);
  auto forecast = [&](const std::string& vocab) {
    std::string config = tiny_llama;
    config.replace(config.find("32"), 2, vocab);
    config.replace(config.find("64"), 2, "2048");
    put(folder / "config.json", config);
    // Nothing is computed on the meta device, so the head's shape is all that matters: made and then frozen.
    DevicePtr meta = meta_device(cpu_device(2));
    auto model = new_model(folder / "config.json", meta, 1);
    Adapter adapter = tiny_adapter(*model, {"q_proj"});
    FrozenWhile frozen([&] {
      std::vector<Tensor> all;
      for (const auto& [name, tensor] : model->trainable()) all.push_back(tensor);
      all.erase(all.begin() + 1);  // a block's parameter stays, so that the step is recorded
      return all;
    }());
    std::size_t before = meta->memory().live();
    StepRows rows;
    for (const Row& r : data.rows) rows.push_back(&r);
    accumulate_gradients(*model, rows, {.rows_at_once = 4});
    return meta->footprint() - before;
  };
  std::size_t small = forecast("32"), large = forecast("262144");
  CHECK(large > small);
  CHECK(large - small <= std::size_t{64} << 20);
}

TEST_CASE("a forecast of a model of real size is quick") {
  TinyModel folder;
  put(folder / "config.json", R"({"model_type": "opt", "vocab_size": 8000, "hidden_size": 768, "ffn_dim": 3072,
    "num_hidden_layers": 12, "num_attention_heads": 12, "max_position_embeddings": 2048})");
  Row row;
  row.input_ids.assign(256, 1);
  row.labels = row.input_ids;
  Dataset data;
  data.rows.assign(64, row);
  double best = 1;
  for (int i = 0; i < 3; ++i) {
    auto start = std::chrono::steady_clock::now();
    forecast_pretraining(folder / "config.json", {}, data, cpu_device(2));
    best = std::min(best, std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
  }
  CHECK(best < 0.1);
}

TEST_CASE("resident memory is known") {
  CHECK(resident_bytes() > 1'000'000);
  CHECK(peak_resident_bytes() >= resident_bytes() / 2);
}
