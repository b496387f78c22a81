#include "train/memory_profile.h"

#include <numeric>

#include "engine/backward.h"
#include "ops/meta_device.h"
#include "tests/train/support.h"
#include "train/forecast.h"

using namespace loragrad;
using namespace loragrad::test;

namespace {

std::size_t bytes_of(const MemoryProfile& profile, const std::string& op) {
  for (const auto& found : profile.ops)
    if (found.name == op) return found.bytes;
  return 0;
}

std::int64_t nodes_of(const MemoryProfile& profile, const std::string& op) {
  for (const auto& found : profile.ops)
    if (found.name == op) return found.nodes;
  return 0;
}

}  // namespace

TEST_CASE("a profile's parts at the peak are the forecast, but for the gaps") {
  TinyModel folder;
  Dataset data = tiny_data(4);
  for (Row& row : data.rows) row.labels = row.input_ids;
  LoraConfig lora = lora_config({"q_proj", "v_proj"});
  for (std::int64_t accum : {1, 2})
    for (const LoraConfig* config : {static_cast<const LoraConfig*>(&lora), static_cast<const LoraConfig*>(nullptr)}) {
      TrainOptions options{.batch_size = 2, .grad_accum = accum, .steps = 3};
      Forecast forecast = forecast_training(folder.path(), {}, config, options, data, test_device(1));
      // Where blocks of memory lie leaves gaps between them, of a few hundred bytes where kernels want lists.
      CHECK(forecast.profile.peak() <= forecast.activations);
      CHECK(static_cast<double>(forecast.profile.peak()) > 0.9 * static_cast<double>(forecast.activations));
      CHECK(forecast.profile.rows == 2);
      CHECK(forecast.profile.layers == 2);
    }
}

TEST_CASE("what an op keeps is what its derivation says, shared values once") {
  TinyModel folder;
  DevicePtr device = test_device(1);
  std::unique_ptr<CausalLm> model = load_model(folder.path(), device, {.precision = Precision::f32});
  Adapter adapter = tiny_adapter(*model, {"q_proj", "k_proj", "v_proj", "o_proj"}, 0, false);
  std::vector<Tensor> trained;
  for (const auto& [name, tensor] : adapter.tensors()) trained.push_back(tensor);
  Dataset data = tiny_data(3);
  StepRows rows;
  for (const Row& row : data.rows) rows.push_back(&row);
  std::size_t live = device->memory().live();
  MemoryProfile profile =
      profile_memory(*model, trained, rows, {.rows_at_once = 3, .adapters = model->activate(adapter)});
  CHECK(device->memory().live() == live);
  auto tokens = static_cast<std::size_t>(profile.tokens);
  REQUIRE(profile.tokens == data.tokens);

  // Width 16, 2 layers, 4 heads of 4, 2 key/value heads; everything is f32.
  CHECK(nodes_of(profile, "attention") == 2);
  CHECK(bytes_of(profile, "attention") == 2 * tokens * 4 * (16 + 8 + 8 + 16 + 4));  // q, k, v, output, a number a head
  CHECK(bytes_of(profile, "gated") == 2 * tokens * 4 * (24 + 24));
  // h of rank 3 for each of 4 modules; the first layer's x, once for q, k and v; o_proj's is attention's output.
  CHECK(nodes_of(profile, "lora_linear") == 8);
  CHECK(bytes_of(profile, "lora_linear") == tokens * 4 * 2 * 4 * 3);
  CHECK(nodes_of(profile, "lora_down") == 4);
  CHECK(bytes_of(profile, "lora_down") == tokens * 4 * 16);
  CHECK(bytes_of(profile, "cross_entropy") == tokens * 4 * 16);  // dx
  CHECK(bytes_of(profile, "rms_norm") == 4 * tokens * 4 * (16 + 1));
  CHECK(bytes_of(profile, "add") == 0);
  std::size_t sum = 0;
  for (const auto& op : profile.ops) sum += op.bytes;
  CHECK(profile.kept() == sum + profile.other);
  CHECK(profile.other < tokens * 4 * 16);
}

TEST_CASE("a profile's total is what is alive between forward and backward") {
  TinyModel folder;
  DevicePtr device = meta_device(test_device(1));
  std::unique_ptr<CausalLm> model = load_model(folder.path(), device);
  Adapter adapter = make_adapter(device, lora_config({"q_proj", "down_proj"}, 0.1), model->linear_shapes(), 0);
  std::vector<Tensor> trained;
  for (const auto& [name, tensor] : adapter.tensors()) trained.push_back(tensor);
  Dataset data = tiny_data(5);
  StepRows rows;
  for (const Row& row : data.rows) rows.push_back(&row);
  PassOptions options{.rows_at_once = 5, .adapters = model->activate(adapter)};
  MemoryProfile profile = profile_memory(*model, trained, rows, options);

  std::size_t before = device->memory().live();
  Batch batch = batch_of(*model, rows, 0, 5);
  Tensor loss = model->loss(training_pass(batch, options), 1).loss;
  CHECK(device->memory().live() - before == profile.kept());
}

TEST_CASE("a peak in backward counts what is still kept then, and the gradients so far") {
  if (test_device(1)->name() == "cuda") return;  // whose kernels want other workspaces
  TinyModel folder;
  Dataset data = tiny_data(1);
  data.rows[0].input_ids.resize(3);
  data.rows[0].labels = data.rows[0].input_ids;
  TrainOptions options{.batch_size = 1, .steps = 1};
  Forecast forecast = forecast_training(folder.path(), {}, nullptr, options, data, test_device(1));
  const MemoryProfile& profile = forecast.profile;
  // With 3 tokens a workspace is the largest thing there is: the first layer's attention's, the last to be needed.
  CHECK(profile.peak_in == "the backward of attention");
  // Left are its own values, the rotations, the first norm's x and statistics, and the ids.
  CHECK(profile.peak_kept == 3 * 4 * ((16 + 8 + 8 + 16 + 4) + 4 + (16 + 1) + 1));
  // No gradient yet of the first layer's q, k and v and its first norm; none ever of the rotation's frequencies.
  constexpr std::size_t frequencies = 2 * sizeof(double);
  CHECK(profile.peak_gradients == forecast.trained - 4 * (16 * 16 + 2 * 8 * 16 + 16) - frequencies);
}
