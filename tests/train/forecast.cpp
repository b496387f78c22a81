#include "train/forecast.h"

#include <chrono>

#include "ops/timed_device.h"
#include "tests/sanitizers/sanitizers.h"
#include "tests/train/support.h"
#include "train/process_memory.h"

using namespace loragrad;
using namespace loragrad::test;

namespace {

/// The memory that the device came to hold in a real run, the model's own included.
std::size_t measured(const TinyModel& folder, const LoraConfig* lora, const TrainOptions& options,
                     const Dataset& data) {
  DevicePtr device = test_device(1);
  std::unique_ptr<CausalLm> model =
      load_model(folder.path(), device, {.precision = Precision::automatic, .trainable = lora == nullptr});
  Adapter adapter;
  if (lora) adapter = make_adapter(device, *lora, model->linear_shapes(), options.seed);
  train(*model, lora ? &adapter : nullptr, data, options);
  return device->footprint();
}

Dataset equal_rows(std::size_t rows, std::size_t tokens) {
  Row row;
  row.input_ids.assign(tokens, 1);
  row.labels = row.input_ids;
  Dataset data;
  data.rows.assign(rows, row);
  data.tokens = static_cast<std::int64_t>(rows * tokens);
  return data;
}

/// Of the device's memory, as its footprint counts it.
std::size_t device_bytes(const Forecast& f) {
  return (f.own_memory ? f.weights : 0) + f.trained + f.optimiser + f.activations;
}

}  // namespace

TEST_CASE("the forecast is how far the device's memory reaches when the longest rows come together") {
  TinyModel folder;
  Dataset data = tiny_data(4);
  for (Row& row : data.rows) row.labels = row.input_ids;
  LoraConfig lora = lora_config({"q_proj", "v_proj"}, 0.1);
  for (bool checkpoint : {false, true})
    for (const LoraConfig* config : {static_cast<const LoraConfig*>(&lora), static_cast<const LoraConfig*>(nullptr)}) {
      TrainOptions options{.batch_size = 4, .steps = 3, .shuffle = false, .checkpoint_activations = checkpoint};
      Forecast forecast = forecast_training(folder.path(), {}, config, options, data, test_device(1));
      double found = static_cast<double>(measured(folder, config, options, data));
      // Rows are in another order, and a few tokens without a label are counted as if they had one.
      CHECK(static_cast<double>(device_bytes(forecast)) == doctest::Approx(found).epsilon(0.04));
      CHECK(forecast.optimiser > 0);
      bool own = !test_device(1)->shares_host_memory();
      CHECK(forecast.own_memory == own);
      if (!own || config) CHECK(forecast.weights > 4 * 32 * 16);
      CHECK(forecast.weights_are_released == (!own && config == nullptr));
      if (own) {
        CHECK(forecast.total() == device_bytes(forecast) + forecast.workspace);
        CHECK(forecast.process == forecast.held);
      } else {
        CHECK(forecast.total() > forecast.process + forecast.weights);
      }
    }
}

TEST_CASE("the forecast is no less than a run takes, but for gaps of a hundredth") {
  TinyModel folder;
  Dataset data = tiny_data(12);
  LoraConfig lora = lora_config({}, 0.1);
  LoraConfig explicit_targets = lora;
  explicit_targets.target_modules = {"q_proj", "v_proj"};
  for (std::int64_t accum : {1, 3}) {
    TrainOptions options{.batch_size = 2, .grad_accum = accum, .epochs = 2};
    Forecast forecast = forecast_training(folder.path(), {}, &lora, options, data, test_device(1));
    // Batches of several sizes leave gaps between each other's memory that the heaviest alone does not; wider ones where
    // scratch space comes in pieces of 256 bytes, which for a model as small as this are more than a hundredth.
    double pieces = test_device(1)->shares_host_memory() ? 0 : 4096;
    CHECK(static_cast<double>(device_bytes(forecast)) + pieces >
          0.99 * static_cast<double>(measured(folder, &explicit_targets, options, data)));
  }
}

TEST_CASE("rows without a label are forecast as if they had one") {
  // Long prompts that are cut before their completion begins.
  TinyModel folder;
  LoraConfig lora = lora_config({"q_proj", "v_proj"});
  Dataset data = tiny_data(8), cut = data;
  for (Row& row : cut.rows) row.labels.assign(row.labels.size(), no_label);
  auto forecast = [&](const Dataset& rows) {
    return device_bytes(forecast_training(folder.path(), {}, &lora, {.batch_size = 4}, rows, test_device(1)));
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
    return forecast_training(folder.path(), {}, &lora, {.batch_size = batch}, d, test_device(1)).activations;
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
    return forecast_training(folder.path(), {}, &lora, options, data, test_device(1), with).activations;
  };
  std::size_t direct = activations({}, nullptr);
  CHECK(activations({.checkpoint_activations = true}, nullptr) < direct);
  CHECK(activations({.micro_batch = 2}, nullptr) < direct);
  CHECK(activations({}, &eval) > direct);
  CHECK(activations({.micro_batch = 2}, &eval) < activations({}, &eval));
}

TEST_CASE("the copy that checkpoints are written from is forecast") {
  TinyModel folder;
  Dataset data = tiny_data(9);
  TrainOptions options{.batch_size = 4, .steps = 3};
  LoraConfig config = lora_config({"q_proj", "v_proj"});
  auto forecast = [&] { return forecast_training(folder.path(), {}, &config, options, data, test_device(1)); };
  Forecast without = forecast();
  options.copies_state = true;
  Forecast with = forecast();
  CHECK(without.checkpoint == 0);
  // Values, two moments, and the adapter as others read it.
  CHECK(with.checkpoint == 2 * with.optimiser);
  config.init_lora_weights = LoraInit::olora;
  CHECK(forecast().checkpoint > with.checkpoint);
}

TEST_CASE("a new model's forecast is how far the device's memory reaches") {
  TinyModel folder;
  Dataset data = tiny_data(4);
  for (Row& row : data.rows) row.labels = row.input_ids;
  TrainOptions options{.batch_size = 4, .steps = 3};
  std::string config = folder / "source/config.json";
  Forecast forecast = forecast_pretraining(config, options, data, test_device(1));
  DevicePtr device = test_device(1);
  auto model = new_model(config, device, 1);
  CHECK(forecast.trained == device->memory().live());
  train(*model, nullptr, data, options);
  CHECK(static_cast<double>(device_bytes(forecast)) ==
        doctest::Approx(static_cast<double>(device->footprint())).epsilon(0.04));
  CHECK(forecast.weights == 0);
}

TEST_CASE("a vocabulary of 262,144 adds no more than a tile beyond its weights") {
  TinyModel small(tiny_llama_of(32, 1024)), large(tiny_llama_of(262'144, 1024));
  Dataset data = equal_rows(4, 1024);
  LoraConfig lora = lora_config({"q_proj", "v_proj"}, 0.1);
  DevicePtr device = test_device(2);
  for (Precision precision : {Precision::f32, Precision::bf16}) {
    if (precision == Precision::bf16 && !device->has_bf16()) continue;  // emulated, it copies the whole head
    auto beyond_weights = [&](const TinyModel& folder) {
      Forecast f = forecast_training(folder.path(), {.precision = precision}, &lora, {.steps = 1}, data, device);
      return f.trained + f.optimiser + f.activations;
    };
    std::size_t with_small = beyond_weights(small), with_large = beyond_weights(large);
    CHECK(with_large > with_small);
    std::size_t tile = device->name() == "cuda" ? 240u << 20 : std::size_t{128} * 262'144 * 4;  // 128 tokens' logits
    CHECK(with_large - with_small <= tile + (16u << 20));
  }
}

TEST_CASE("memory grows with the tokens, not with the square of a row's length") {
  std::string config = tiny_llama_of(32, 4096);
  config.replace(config.find("layers\": 2") + 9, 1, "8");  // a real model's scratch space is small beside its layers
  TinyModel folder(config);
  LoraConfig lora = lora_config({"q_proj", "v_proj"}, 0.1);
  auto activations = [&](std::size_t rows, std::size_t tokens) {
    TrainOptions options{.batch_size = static_cast<std::int64_t>(rows), .steps = 1};
    return forecast_training(folder.path(), {}, &lora, options, equal_rows(rows, tokens), test_device(2)).activations;
  };
  double four = static_cast<double>(activations(4, 1024));
  CHECK(static_cast<double>(activations(1, 4096)) <= 1.1 * four);
  CHECK(four <= 4.1 * static_cast<double>(activations(1, 1024)));
}

TEST_CASE("the heaviest micro-batch is the one that the run's own order brings") {
  TinyModel folder;
  LoraConfig lora = lora_config({"q_proj"});
  Dataset data = equal_rows(6, 4);
  for (std::size_t row : {0u, 4u, 5u}) data.rows[row] = equal_rows(1, 40).rows[0];
  auto activations = [&](const TrainOptions& options) {
    return forecast_training(folder.path(), {}, &lora, options, data, test_device(1)).activations;
  };
  // In file order batches of two have one, none and two of the long rows.
  std::size_t all = activations({.batch_size = 2, .shuffle = false});
  CHECK(activations({.batch_size = 2, .steps = 1, .shuffle = false}) < all);
  CHECK(activations({.batch_size = 2, .steps = 2, .shuffle = false}) < all);
  CHECK(activations({.batch_size = 2, .steps = 3, .shuffle = false}) == all);
  // So many steps are not followed: the longest rows are taken to meet.
  CHECK(activations({.batch_size = 3, .steps = 1, .shuffle = false}) <
        activations({.batch_size = 3, .steps = 1'000'000'000, .shuffle = false}));
}

TEST_CASE("the gradient of a large head exists once, in the forecast as in a run") {
  TinyModel folder(tiny_llama_of(5000, 64));
  Dataset data = equal_rows(4, 20);
  TrainOptions options{.batch_size = 4, .steps = 3, .shuffle = false};
  Forecast forecast = forecast_training(folder.path(), {}, nullptr, options, data, test_device(1));
  // The last token of a row has no label, and is counted as if it had one.
  CHECK(static_cast<double>(device_bytes(forecast)) ==
        doctest::Approx(static_cast<double>(measured(folder, nullptr, options, data))).epsilon(0.03));
}

TEST_CASE("a device that is timed is forecast with its own threads") {
  TinyModel folder;
  LoraConfig lora = lora_config({"q_proj"});
  auto to_come = [&](const DevicePtr& device) {
    return forecast_training(folder.path(), {}, &lora, {.steps = 1}, tiny_data(4), device).still_to_come();
  };
  DevicePtr one = test_device(1), three = test_device(3);
  CHECK(to_come(timed_device(three, [](const KernelCall&) {})) == to_come(three));
  if (!one->shares_host_memory()) return;
  CHECK(to_come(three) > to_come(one));
}

TEST_CASE("a forecast of a model of real size is quick") {
  if (is_sanitized) {
    MESSAGE("SKIPPED: nothing is quick with a sanitizer");
    return;
  }
  TinyModel folder;
  put(folder / "config.json", R"({"model_type": "opt", "vocab_size": 8000, "hidden_size": 768, "ffn_dim": 3072,
    "num_hidden_layers": 12, "num_attention_heads": 12, "max_position_embeddings": 2048})");
  Dataset data = equal_rows(64, 256);
  double best = 1;
  for (int i = 0; i < 3; ++i) {
    auto start = std::chrono::steady_clock::now();
    forecast_pretraining(folder / "config.json", {}, data, test_device(2));
    best = std::min(best, std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
  }
  CHECK(best < 0.1);
}

TEST_CASE("resident memory is known") {
  CHECK(resident_bytes() > 1'000'000);
  CHECK(peak_resident_bytes() >= resident_bytes() / 2);
}
