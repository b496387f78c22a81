// What must hold of whole models, whatever they compute: derivatives through all adapters, decoding with a cache, rows
// that do not see each other, a base that is only read.
#include <doctest/doctest.h>

#include <cmath>
#include <numeric>
#include <set>

#include "engine/backward.h"
#include "engine/random.h"
#include "io/json.h"
#include "io/mapped_file.h"
#include "io/safetensors.h"
#include "lora/saved_modules.h"
#include "models/trained_parameters.h"
#include "ops/meta_device.h"
#include "tests/device/bf16_device.h"
#include "tests/device/test_device.h"
#include "tests/io/support.h"
#include "tests/models/full_adapter.h"
#include "tests/models/golden_case.h"

using namespace loragrad;
using namespace loragrad::test;

namespace {

std::string folder_of(const std::string& family) { return "tests/models/golden/" + family; }

/// Central differences of the loss along so many random directions of all of an adapter's tensors, against backward.
void check_directions(const CausalLm& model, const Adapter& adapter, const Batch& batch, std::uint64_t directions,
                      bool recompute) {
  Pass pass{
      .batch = batch, .adapters = model.activate(adapter), .training = true, .dropout_key = 77, .recompute = recompute};
  auto loss = [&] { return model.loss(pass, static_cast<double>(batch.supervised)); };
  backward(loss().loss);

  for (std::uint64_t seed = 1; seed <= directions; ++seed) {
    double derivative = 0;
    std::vector<std::vector<double>> along;
    for (auto& [name, tensor] : adapter.tensors()) {
      Random random(seed, hash_name(name.data(), name.size()));
      std::vector<double> direction(static_cast<std::size_t>(tensor.numel()));
      for (double& d : direction) d = random.normal();
      derivative =
          std::inner_product(direction.begin(), direction.end(), tensor.grad().values<double>().begin(), derivative);
      along.push_back(std::move(direction));
    }
    auto moved = [&](double step) {
      std::size_t k = 0;
      for (auto& [name, tensor] : adapter.tensors()) {
        change_values<double>(tensor, [&](auto& values) {
          for (std::size_t i = 0; i < values.size(); ++i) values[i] += step * along[k][i];
        });
        ++k;
      }
      return loss().sum.item() / static_cast<double>(batch.supervised);
    };
    constexpr double h = 1e-6;
    double plus = moved(h), minus = moved(-2 * h);
    moved(h);
    CHECK(std::abs((plus - minus) / (2 * h) - derivative) < 1e-6 * std::max(1.0, std::abs(derivative)));
  }
}

/// All modules with parameters but those that an adapter is on: norms and embeddings.
std::vector<std::string> modules_beside(const CausalLm& model, const Adapter& adapter) {
  std::set<std::string> adapted = names_of(adapter.modules), modules;
  for (const auto& [name, parameter] : model.parameters())
    if (std::string module = name.substr(0, name.rfind('.')); !adapted.count(module) && module != "lm_head")
      modules.insert(module);
  return {modules.begin(), modules.end()};
}

}  // namespace

TEST_CASE("the derivative along random directions through all adapters is the finite difference") {
  int count = 0;
  for (const std::string& folder : golden_folders()) {
    CAPTURE(folder);
    GoldenCase golden = read_golden_case(folder);
    auto model = load_model(folder + "/model", test_device(2), {.precision = Precision::f64});
    Adapter adapter = full_adapter(*model, 0.25);
    // Every other family through recomputed blocks; that both ways are the same bits is a test of its own.
    check_directions(*model, adapter, golden.batch(*model, 0, golden.rows.size()), 3, ++count % 2 == 0);
  }
}

TEST_CASE("the derivative along random directions of the base's own parameters is the finite difference") {
  int count = 0;
  for (const std::string& folder : golden_folders()) {
    CAPTURE(folder);
    GoldenCase golden = read_golden_case(folder);
    for (TrainedBias bias : {TrainedBias::all, TrainedBias::lora_only}) {
      CAPTURE(name_of(bias));
      auto model = load_model(folder + "/model", test_device(2), {.precision = Precision::f64});
      Adapter adapter = full_adapter(*model, 0.25);
      adapter.config.bias = bias;
      // Once the head alone, and once all others: a head that is tied stays what the embedding was.
      adapter.config.modules_to_save =
          bias == TrainedBias::all ? modules_beside(*model, adapter) : std::vector<std::string>{"lm_head"};
      adapter.parameters_of_base = parameters_to_train(*model, adapter.config, adapter.modules, DType::f64);
      put_parameters(*model, adapter);
      check_directions(*model, adapter, golden.batch(*model, 0, golden.rows.size()), 1, ++count % 2 == 0);
    }
  }
}

TEST_CASE("decoding with a cache equals the full forward, and a batch equals its rows") {
  for (const std::string& folder : golden_folders()) {
    CAPTURE(folder);
    GoldenCase golden = read_golden_case(folder);
    auto model = load_model(folder + "/model", test_device(2), {.precision = Precision::f32});
    ActiveAdapters adapters = model->activate(full_adapter(*model, 0));
    Batch together = golden.batch(*model, 0, golden.rows.size());
    std::vector<float> all = model->logits({.batch = together, .adapters = adapters}).values<float>();
    std::int64_t vocab = model->config().vocab_size, limit = model->config().max_position_embeddings;
    // Where rows beyond a length turn by it, keys that are there were turned by the length of their time.
    const std::vector<double>* beyond = model->config().detail("rope_beyond");
    for (std::size_t r = 0; r < golden.rows.size(); ++r) {
      const auto& ids = golden.rows[r].ids;
      if (beyond && static_cast<double>(ids.size()) > beyond->at(0)) continue;
      KeyValueCache cache = model->make_cache(static_cast<std::int64_t>(ids.size()));
      double worst = 0;
      // A prefill of half the row, then token by token.
      for (std::size_t t = 0; t < ids.size();) {
        std::size_t count = t == 0 ? std::max<std::size_t>(1, ids.size() / 2) : 1;
        BatchRow row{std::span(ids).subspan(t, count), {}};
        Batch part = make_batch(model->device(), {row}, vocab, limit, &cache);
        std::vector<float> some = model->logits({.batch = part, .adapters = adapters, .cache = &cache}).values<float>();
        auto offset = static_cast<std::size_t>(
            (together.spans->first_token(static_cast<std::int64_t>(r)) + static_cast<std::int64_t>(t)) * vocab);
        for (std::size_t i = 0; i < some.size(); ++i)
          worst = std::max(worst, static_cast<double>(std::abs(some[i] - all[offset + i])));
        t += count;
      }
      CHECK(worst < 2e-5);
    }
  }
}

TEST_CASE("the base's file and weights are the same bytes after backward") {
  for (const std::string& folder : golden_folders()) {
    CAPTURE(folder);
    std::string file = folder + "/model/model.safetensors";
    std::string before(MappedFile::open(file)->text());
    GoldenCase golden = read_golden_case(folder);
    DevicePtr device = test_device(2);
    auto model = load_model(folder + "/model", device, {.precision = Precision::f32});
    for (const auto& [name, parameter] : model->parameters()) CHECK(!parameter->tensor().defined());
    ActiveAdapters adapters = model->activate(full_adapter(*model, 0.1));
    for (std::size_t rows : {2u, 1u})
      backward(model->loss({.batch = golden.batch(*model, 0, rows), .adapters = adapters}, 10).loss);
    CHECK(std::string(MappedFile::open(file)->text()) == before);
  }
}

TEST_CASE("a parameter can be replaced after loading, and a tied head untied") {
  GoldenCase golden = read_golden_case(folder_of("gpt2"));
  auto model = load_model(folder_of("gpt2") + "/model", test_device(2), {.precision = Precision::f32});
  Batch batch = golden.batch(*model, 0, 2);
  double before = model->loss({.batch = batch}, 10).sum.item();
  std::size_t parameters = model->parameters().size();
  REQUIRE(model->config().tie_word_embeddings);

  Tensor head = model->head().weight().to_tensor(DType::f32).set_trainable();
  model->replace("lm_head.weight", head);
  CHECK(model->parameters().size() == parameters + 1);
  for (const auto& [name, parameter] : model->parameters())
    if (name == "transformer.ln_f.bias")
      model->replace(name, parameter->weight().to_tensor(DType::f32).set_trainable());
  CHECK(model->trainable().size() == 2);
  CrossEntropy loss = model->loss({.batch = batch}, 10);
  CHECK(loss.sum.item() == before);
  backward(loss.loss);
  for (const auto& [name, tensor] : model->trainable()) CHECK(tensor.grad().defined());
  head.fill(0);
  CHECK(model->loss({.batch = batch}, 10).sum.item() != before);

  CHECK_THROWS_WITH_AS(model->replace("transformer.wte", head), "replace: the model has no parameter transformer.wte",
                       UsageError);
  CHECK_THROWS_AS(model->replace("transformer.ln_f.bias", head), UsageError);
}

TEST_CASE("recomputed blocks give the same loss and gradients, bit for bit, and take less memory") {
  for (const std::string& folder : golden_folders())
    for (Precision precision : {Precision::f32, Precision::bf16, Precision::f64}) {
      CAPTURE(folder);
      CAPTURE(static_cast<int>(precision));
      GoldenCase golden = read_golden_case(folder);
      DevicePtr device = bf16_device(test_device(2));
      LoadOptions load{.precision = precision};
      auto model = load_model(folder + "/model", device, load);
      Adapter adapter = full_adapter(*model, 0.25);
      ActiveAdapters adapters = model->activate(adapter);
      Batch batch = golden.batch(*model, 0, golden.rows.size());
      std::size_t kept[2], nodes[2];
      std::vector<std::vector<double>> found[2];
      for (bool recompute : {false, true}) {
        Pass pass{.batch = batch, .adapters = adapters, .training = true, .dropout_key = 77, .recompute = recompute};
        CrossEntropy result = model->loss(pass, static_cast<double>(batch.supervised));
        kept[recompute] = nodes[recompute] = 0;
        for_each_node(result.loss, [&](const Node& node) {
          kept[recompute] += node.saved_bytes();
          ++nodes[recompute];
        });
        backward(result.loss);
        found[recompute].push_back({result.sum.item()});
        for (auto& [name, tensor] : adapter.tensors()) {
          Tensor gradient = tensor.grad();
          REQUIRE(gradient.defined());
          found[recompute].push_back(gradient.to(DType::f64).values<double>());
          Tensor leaf = tensor;
          leaf.clear_grad();
        }
      }
      CHECK(found[0] == found[1]);
      CHECK(kept[1] < kept[0]);
      CHECK(nodes[1] <= static_cast<std::size_t>(model->config().num_hidden_layers) + 8);
    }
}

TEST_CASE("with an adapter on the last block alone, recomputing records nothing below it") {
  GoldenCase golden = read_golden_case(folder_of("llama"));
  auto model = load_model(folder_of("llama") + "/model", test_device(2), {.precision = Precision::f32});
  Adapter all = full_adapter(*model, 0), last;
  last.config = all.config;
  std::string block = ".layers." + std::to_string(model->config().num_hidden_layers - 1) + ".";
  for (const LoraModule& module : all.modules)
    if (module.name.find(block) != std::string::npos) last.modules.push_back(module);
  Batch batch = golden.batch(*model, 0, golden.rows.size());
  CrossEntropy result = model->loss(
      {.batch = batch, .adapters = model->activate(last), .training = true, .dropout_key = 77, .recompute = true}, 1);
  std::vector<std::string> names;
  for_each_node(result.loss, [&](const Node& node) { names.emplace_back(node.name()); });
  CHECK(names == std::vector<std::string>{"cross_entropy", "rms_norm", "recompute"});
  backward(result.loss);
  for (auto& [name, tensor] : last.tensors()) CHECK(tensor.grad().defined());
}

TEST_CASE("a tied model that stores its head: a copy is the embedding, another counts by itself, frozen or trained") {
  TempFolder folder;
  std::string model_folder = folder_of("llama") + "/model";
  StoredTensors file = open_model_folder(model_folder);
  Json config = read_json_file(model_folder + "/config.json");
  config.set("tie_word_embeddings", true);
  put(folder / "config.json", config.dump());
  const StoredTensor* embedding = file.find("model.embed_tokens.weight");
  REQUIRE(embedding);
  std::vector<std::byte> other(static_cast<const std::byte*>(embedding->bytes),
                               static_cast<const std::byte*>(embedding->bytes) + embedding->byte_count);
  std::swap(other[0], other[embedding->byte_count - 4]);
  auto parameters = [&](const void* head, bool trainable, bool meta) {
    std::vector<TensorToWrite> tensors;
    for (const StoredTensor& t : file.tensors)
      if (t.name != "lm_head.weight") tensors.push_back({t.name, t.dtype(), t.shape, t.bytes});
    if (head) tensors.push_back({"lm_head.weight", embedding->dtype(), embedding->shape, head});
    write_safetensors(folder / "model.safetensors", tensors);
    DevicePtr device = test_device(1);
    LoadOptions options{.precision = Precision::f32, .trainable = trainable};
    return load_model(folder.path(), meta ? meta_device(device) : device, options)->parameter_count();
  };
  for (bool trainable : {false, true})
    for (bool meta : {false, true}) {
      CAPTURE(trainable);
      CAPTURE(meta);
      std::int64_t tied = parameters(nullptr, trainable, meta);
      CHECK(parameters(embedding->bytes, trainable, meta) == tied);
      CHECK(parameters(other.data(), trainable, meta) == tied + embedding->shape[0] * embedding->shape[1]);
    }
}
