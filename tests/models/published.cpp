// Real trained models against what others computed from them.
#include <array>
#include <cmath>
#include <cstring>

#include "engine/backward.h"
#include "io/json.h"
#include "io/safetensors.h"
#include "models/model.h"
#include "tests/device/test_device.h"
#include "tests/models/shared.h"

using namespace loragrad;

namespace {

/// The floats of a base64 text (little-endian, as numpy writes them).
std::vector<float> floats_of(const std::string& base64) {
  std::string bytes;
  std::uint32_t bits = 0;
  int count = 0;
  for (char c : base64) {
    if (c == '=') break;
    int value = c >= 'a' ? c - 'a' + 26 : c >= 'A' ? c - 'A' : c >= '0' ? c - '0' + 52 : c == '+' ? 62 : 63;
    bits = bits << 6 | static_cast<std::uint32_t>(value);
    if ((count += 6) >= 8) bytes.push_back(static_cast<char>(bits >> (count -= 8) & 0xff));
  }
  std::vector<float> floats(bytes.size() / 4);
  std::memcpy(floats.data(), bytes.data(), floats.size() * 4);
  return floats;
}

double largest_difference(const std::vector<float>& a, const std::vector<float>& b) {
  REQUIRE(a.size() == b.size());
  double worst = 0;
  for (std::size_t i = 0; i < a.size(); ++i) worst = std::max(worst, static_cast<double>(std::abs(a[i] - b[i])));
  return worst;
}

}  // namespace

TEST_CASE("a trained sorting GPT-2 has its published activations") {
  REQUIRE_SHARED(shared);
  std::string file = shared + "/golden/nano-sort/gpt-nano-sort-t0-partials.json";
  Json json = read_json_file(file);
  auto published = [&](const char* name) { return floats_of(JsonRef(json, file).at(name).at("data").string()); };
  auto model = load_model(shared + "/data/nano-sort-gpt2", test_device(2));
  std::vector<float> idx = published("idx");
  std::vector<std::int32_t> ids(idx.begin(), idx.end());
  std::vector<BatchRow> rows;
  for (std::size_t r = 0; r < ids.size() / 11; ++r) rows.push_back({std::span(ids).subspan(r * 11, 11), {}, 0, 0});
  Pass pass{.batch = make_batch(model->device(), rows, 3, 11)};
  Tensor hidden = model->hidden(pass);
  CHECK(largest_difference(hidden.values<float>(), published("ln_f")) < 1e-4);
  CHECK(largest_difference(model->logits(hidden, pass).values<float>(), published("lm_head")) < 2e-4);
}

TEST_CASE("stories260k: the loss and the gradients of whole weights") {
  REQUIRE_SHARED(shared);
  StoredTensors golden = open_safetensors(shared + "/golden/stories260k/fwd_bwd.safetensors");
  auto values = [&](const std::string& name) {
    const StoredTensor* t = golden.find(name);
    REQUIRE_MESSAGE(t, name);
    std::vector<float> v(t->byte_count / 4);
    std::memcpy(v.data(), t->bytes, t->byte_count);
    return v;
  };
  const StoredTensor* stored = golden.find("ids");
  REQUIRE(stored);
  std::vector<std::int32_t> ids(stored->byte_count / 4);
  std::memcpy(ids.data(), stored->bytes, stored->byte_count);
  auto model =
      load_model(shared + "/data/stories260k", test_device(2), {.precision = Precision::f32, .trainable = true});
  Batch batch = make_batch(model->device(), {{ids, ids, 0, 0}}, model->config().vocab_size, 0);
  CrossEntropy loss = model->loss({.batch = batch}, static_cast<double>(batch.supervised));
  std::string facts = shared + "/golden/stories260k/golden.json";
  Json json = read_json_file(facts);
  double mean = JsonRef(json, facts).at("mean_nll_fp64").number(0, 100);
  CHECK(loss.sum.item() / static_cast<double>(batch.supervised) == doctest::Approx(mean).epsilon(2e-5));
  backward(loss.loss);
  int compared = 0;
  for (const auto& [key, tensor] : model->trainable()) {
    const std::string& name = key;  // as clang 14 wants it for CHECK_MESSAGE
    if (!golden.find("grad." + name)) continue;
    std::vector<float> expected = values("grad." + name), ours = tensor.grad().values<float>();
    REQUIRE(expected.size() == ours.size());
    double difference = 0, norm = 0;
    for (std::size_t i = 0; i < ours.size(); ++i) {
      difference += std::pow(ours[i] - expected[i], 2);
      norm += std::pow(expected[i], 2);
    }
    CHECK_MESSAGE(std::sqrt(difference) <= 1e-4 * std::sqrt(norm), name);
    ++compared;
  }
  CHECK(compared >= 5);
}
