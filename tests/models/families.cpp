// Each family against what transformers and PEFT compute in float64: logits, loss, gradients, merged logits.
#include <cmath>
#include <map>

#include "engine/backward.h"
#include "io/json.h"
#include "io/safetensors.h"
#include "lora/files/adapter_file.h"
#include "models/families/family.h"
#include "models/files/base_tensors.h"
#include "models/model.h"
#include "models/trained_parameters.h"
#include "tests/device/test_device.h"
#include "tests/models/golden_case.h"
#include "tests/models/shared.h"

using namespace loragrad;

namespace {

double relative(double a, double b) { return std::abs(a - b) / std::abs(b); }

void check_family(const std::string& folder) {
  CAPTURE(folder);
  GoldenCase golden = read_golden_case(folder);
  DevicePtr device = test_device(2);
  auto model = load_model(folder + "/model", device, {.precision = Precision::f32});
  CHECK(golden.logit_difference(*model, "base_logits") < 2e-4);
  Batch all = golden.batch(*model, 0, golden.rows.size());
  auto loss_of = [&](const ActiveAdapters& adapters) {
    auto supervised = static_cast<double>(all.supervised);
    return model->loss({.batch = all, .adapters = adapters}, supervised).sum.item() / supervised;
  };
  CHECK(relative(loss_of({}), golden.number("base_loss")) < 2e-5);

  BaseTensors stored(*model, folder + "/model");
  Adapter adapter = load_adapter(folder + "/adapter", device, model->adaptable_shapes(), true, nullptr, DType::f32,
                                 [&](const std::string& name) { return stored.find_tied(name); });
  put_parameters(*model, adapter);
  CHECK(adapter.parameters() == static_cast<std::int64_t>(golden.number("trainable")));
  ActiveAdapters adapters = model->activate(adapter);
  CHECK(golden.logit_difference(*model, "adapted_logits", adapters) < 2e-4);
  CHECK(relative(loss_of(adapters), golden.number("adapted_loss")) < 2e-5);

  Batch first = golden.batch(*model, 0, static_cast<std::size_t>(golden.number("batch_size")));
  backward(model->loss({.batch = first, .adapters = adapters}, static_cast<double>(first.supervised)).loss);
  int compared = 0;
  for (const auto& [key, tensor] : adapter.tensors()) {
    const std::string& name = key;  // as clang 14 wants it for CHECK_MESSAGE
    const StoredTensor* expected = golden.gradient_of(name);
    REQUIRE_MESSAGE(expected, name);
    auto* values = reinterpret_cast<const float*>(expected->bytes);
    std::vector<float> ours = tensor.grad().values<float>();
    REQUIRE(ours.size() * 4 == expected->byte_count);
    double difference = 0, norm = 0;
    for (std::size_t i = 0; i < ours.size(); ++i) {
      difference += std::pow(ours[i] - values[i], 2);
      norm += std::pow(values[i], 2);
    }
    // Attention does not depend on a key's bias: its gradient is rounding alone.
    constexpr double rounding = 3e-7;
    CHECK_MESSAGE(std::sqrt(difference) <= 1e-4 * std::sqrt(norm) + rounding, name);
    ++compared;
  }
  CHECK(compared > 0);
  if (adapter.parameters_of_base.empty() && adapter.rows_of_base.empty())
    CHECK(relative(loss_of({}), golden.number("base_loss")) < 2e-5);
}

}  // namespace

TEST_CASE("families name the class that transformers has") {
  for (const std::string& folder : golden_folders()) {
    Json json = read_json_file(folder + "/model/config.json");
    JsonRef config(json, folder);
    if (config.find("text_config")) continue;  // the whole has a class of its own
    CHECK(config.at("architectures")[0].string() == family_named(config.at("model_type").string()).architecture);
  }
}

TEST_CASE("families equal transformers and PEFT: goldens of the project") {
  for (const std::string& folder : golden_folders()) check_family(folder);
}

TEST_CASE("families equal transformers and PEFT: shared goldens") {
  REQUIRE_SHARED(shared);
  for (const std::string& folder : shared_golden_folders(shared)) check_family(folder);
}
