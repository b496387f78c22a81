#include "train/use_forecast.h"

#include <numeric>

#include "models/files/merged_model.h"
#include "models/generate/generate.h"
#include "ops/meta_device.h"
#include "tests/train/support.h"

using namespace loragrad;
using namespace loragrad::test;

namespace {

/// A model and adapters on one device: the real one, or the meta device beside it. One adapter, and some that rows choose
/// by their numbers.
struct Used {
  Used(const TinyModel& folder, const DevicePtr& device, int named = 0) : model(load_model(folder.path(), device)) {
    adapters.push_back({tiny_adapter(*model, {"q_proj", "down_proj"}, 0, false), 1});
    for (int i = 0; i < named; ++i)
      adapters.push_back({tiny_adapter(*model, {"q_proj", "down_proj"}, 0, false), 0.5, std::to_string(i)});
  }
  std::unique_ptr<CausalLm> model;
  std::vector<WeightedAdapter> adapters;
};

std::size_t device_bytes(const Forecast& f) { return (f.own_memory ? f.weights : 0) + f.trained + f.activations; }

/// `use` with a model on a new device takes what `forecast` says of its outline.
void check_forecast(const TinyModel& folder, const std::function<Forecast(const Used&)>& forecast,
                    const std::function<void(const Used&)>& use, int named = 0) {
  DevicePtr device = test_device(1);
  Forecast said = forecast(Used(folder, meta_device(device), named));
  Used used(folder, device, named);
  CHECK(said.own_memory == !device->shares_host_memory());
  CHECK(said.trained == static_cast<std::size_t>(1 + named) * 4 * 2 * (3 * (16 + 16) + 3 * (24 + 16)));
  use(used);
  CHECK(static_cast<double>(device_bytes(said)) ==
        doctest::Approx(static_cast<double>(device->footprint())).epsilon(0.04));
}

}  // namespace

TEST_CASE("the forecast of an evaluation is how far the device's memory reaches") {
  TinyModel folder;
  Dataset data = tiny_data(40);
  for (Row& row : data.rows) row.labels = row.input_ids;
  std::size_t all = 0;
  for (std::int64_t tokens : {2048, 100}) {
    EvalOptions options{.tokens_per_batch = tokens};
    auto forecast = [&](const Used& used) {
      Forecast f = forecast_evaluation(*used.model, used.adapters, data, options);
      if (tokens == 2048) all = f.activations;
      if (tokens == 100) CHECK(f.activations < all);
      return f;
    };
    check_forecast(folder, forecast, [&](const Used& used) {
      evaluate(*used.model, data, {.tokens_per_batch = tokens, .adapters = used.model->activate(used.adapters)});
    });
  }
}

TEST_CASE("an evaluation whose rows choose among adapters is forecast with all of them") {
  TinyModel folder;
  Dataset data = tiny_data(40);
  for (std::size_t row = 0; row < data.rows.size(); ++row) {
    data.rows[row].labels = data.rows[row].input_ids;
    if (row % 6) data.rows[row].adapter = std::to_string(row % 6 - 1);
  }
  auto forecast = [&](const Used& used) { return forecast_evaluation(*used.model, used.adapters, data, {}); };
  auto use = [&](const Used& used) { evaluate(*used.model, data, {.adapters = used.model->activate(used.adapters)}); };
  check_forecast(folder, forecast, use, 5);
}

TEST_CASE("logits are forecast with an evaluation that hands them out") {
  TinyModel folder(tiny_llama_of(5000, 64));
  Dataset data = tiny_data(4);
  DevicePtr device = test_device(1);
  auto forecast = [&](EvalOptions options) {
    Used outline(folder, meta_device(device));
    return forecast_evaluation(*outline.model, outline.adapters, data, options);
  };
  std::size_t longest = 0;
  for (const Row& row : data.rows) longest = std::max(longest, row.input_ids.size());
  Forecast said = forecast({.logits = [](std::int64_t, const Tensor&) {}}), without = forecast({});
  std::size_t bytes = longest * 5000 * sizeof(float);
  CHECK(said.activations > bytes);
  // On their way into a file they are one row's, not all rows'.
  CHECK(said.process - said.held == without.process - without.held + (said.own_memory ? bytes : 0));
  Used used(folder, device);
  evaluate(*used.model, data,
           {.logits = [](std::int64_t, const Tensor&) {}, .adapters = used.model->activate(used.adapters)});
  CHECK(static_cast<double>(device_bytes(said)) ==
        doctest::Approx(static_cast<double>(device->footprint())).epsilon(0.04));
}

TEST_CASE("the forecast of a generation is how far the device's memory reaches") {
  TinyModel folder;
  std::vector<std::int32_t> prompt(20);
  std::iota(prompt.begin(), prompt.end(), 3);
  auto forecast = [&](const Used& used) { return forecast_generation(*used.model, used.adapters, 20, 30); };
  check_forecast(folder, forecast, [&](const Used& used) {
    generate(*used.model, used.model->activate(used.adapters), prompt, {.max_tokens = 30, .end_tokens = {31}});
  });
  Used outline(folder, meta_device(test_device(1)));
  // Each of an outline of its own, whose footprint is the highest of all that ran there.
  auto rows = [&](std::int64_t count) {
    Used of_rows(folder, meta_device(test_device(1)));
    return forecast_generation(*of_rows.model, of_rows.adapters, 20, 30, count).activations;
  };
  // Keys and values of 50 tokens in 2 layers, 8 wide, in f32.
  CHECK(rows(8) >= rows(1) + 7 * 2 * 2 * 50 * 8 * 4);
  // A prompt beyond the model's positions is the generation's to refuse.
  CHECK(forecast_generation(*outline.model, outline.adapters, 64, 1).activations < 1000);
}

TEST_CASE("a generation whose rows outgrow their rotation takes what it is to read one again") {
  const std::string phi = "tests/models/golden/phi3-longrope/model";  // whose rows turn otherwise beyond 12 tokens
  auto activations = [&](std::int64_t prompt, std::int64_t tokens) {
    return forecast_generation(*load_model(phi, meta_device(test_device(1))), {}, prompt, tokens, 2).activations;
  };
  CHECK(activations(3, 20) == activations(13, 10));
  CHECK(activations(12, 2) == activations(13, 1));
  CHECK(activations(3, 10) < activations(13, 0));  // the last token is not read
}

TEST_CASE("the forecast of a merge is no less than it takes, but for gaps of a hundredth") {
  TinyModel folder;
  TempFolder output;
  DevicePtr device = test_device(1);
  Used outline(folder, meta_device(device)), used(folder, device);
  Forecast said = forecast_merge(*outline.model, folder.path(), outline.adapters);
  write_merged_model(*used.model, folder.path(), used.adapters, output / "");
  CHECK(static_cast<double>(device_bytes(said)) > 0.99 * static_cast<double>(device->footprint()));
  CHECK(device_bytes(said) < 3 * device->footprint());
  // On the host: one merged weight and three blocks, which are the whole weight here.
  auto on_host = [](const Forecast& f) { return f.process - f.held; };
  CHECK(on_host(said) == on_host(forecast_generation(*outline.model, outline.adapters, 1, 1)) + 4 * 16 * 24 * 4);
}
