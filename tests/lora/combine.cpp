#include "lora/merge/combine.h"

#include <algorithm>

#include "lora/files/adapter_file.h"
#include "lora/files/adapter_outline.h"
#include "lora/merge/merge_values.h"
#include "lora/merge/svd.h"
#include "lora/variant.h"
#include "tests/lora/support.h"

using namespace loragrad;
using namespace loragrad::test;

namespace {

const std::string golden = "tests/lora/golden/combine/";

WeightedAdapter adapter_of_peft(const std::string& name, double weight) {
  std::vector<std::string> folders{golden + "first", golden + "second", golden + "third"};
  return {load_adapter(golden + name, test_device(1), adapter_outline(golden + name), false, nullptr, DType::f32,
                       tables_beside(folders)),
          weight};
}

std::vector<WeightedAdapter> two() { return {adapter_of_peft("first", 0.7), adapter_of_peft("second", -0.4)}; }
std::vector<WeightedAdapter> three() {
  std::vector<WeightedAdapter> all = two();
  all.push_back(adapter_of_peft("third", 1.3));
  return all;
}

HostMatrix host(const Tensor& t) {
  std::vector<float> values = t.values<float>();
  return {t.rows(), t.cols(), {values.begin(), values.end()}};
}

HostMatrix stored(const std::string& name) {
  static const StoredTensors file = open_safetensors(golden + "results.safetensors");
  const StoredTensor* tensor = file.find(name);
  REQUIRE_MESSAGE(tensor != nullptr, name);
  const auto* values = reinterpret_cast<const float*>(tensor->bytes);
  return {tensor->shape[0], tensor->shape[1], {values, values + tensor->shape[0] * tensor->shape[1]}};
}

/// PEFT's name of the tensor, in its results.
HostMatrix factor(const std::string& method, const LoraModule& module, int which) {
  return stored(method + "." + module.name + "." + std::string(module.variant->tensors()[which].name));
}

HostMatrix times(const HostMatrix& b, const HostMatrix& a, double scale = 1) {
  HostMatrix out{b.rows, a.cols, std::vector<double>(static_cast<std::size_t>(b.rows * a.cols))};
  for (std::int64_t i = 0; i < b.rows; ++i)
    for (std::int64_t k = 0; k < b.cols; ++k)
      for (std::int64_t j = 0; j < a.cols; ++j) out.at(i, j) += scale * b.at(i, k) * a.at(k, j);
  return out;
}

double difference(const HostMatrix& x, const HostMatrix& y) {
  REQUIRE(x.rows == y.rows);
  REQUIRE(x.cols == y.cols);
  double worst = 0;
  for (std::size_t i = 0; i < x.values.size(); ++i) worst = std::max(worst, std::fabs(x.values[i] - y.values[i]));
  return worst;
}

/// The sum that adapters make of a module.
HostMatrix exact_sum(const std::vector<WeightedAdapter>& adapters, const std::string& name) {
  HostMatrix sum;
  for (const WeightedAdapter& each : adapters)
    for (const LoraModule& module : each.adapter.modules) {
      if (module.name != name) continue;
      HostMatrix part = times(host(module.b), host(module.a), each.weight * module.scale);
      if (sum.values.empty()) sum = {part.rows, part.cols, std::vector<double>(part.values.size())};
      for (std::size_t i = 0; i < part.values.size(); ++i) sum.values[i] += part.values[i];
    }
  return sum;
}

}  // namespace

TEST_CASE("combine: what PEFT makes of the same adapters") {
  struct Case {
    const char* name;
    CombineMethod method;
    std::optional<double> density;
  };
  for (const Case& c :
       {Case{"linear", CombineMethod::linear, {}}, Case{"ties", CombineMethod::ties, 0.6},
        Case{"magnitude_prune", CombineMethod::magnitude_prune, 0.35},
        Case{"dare_linear", CombineMethod::dare_linear, 1.0}, Case{"dare_ties", CombineMethod::dare_ties, 1.0}}) {
    INFO(c.name);
    Adapter made = combine(two(), {.method = c.method, .density = c.density}).adapter;
    CHECK(made.modules.size() == 4);
    CHECK(made.config.r == 4);
    CHECK(made.config.lora_alpha == 4);
    for (const LoraModule& module : made.modules) {
      INFO(module.name);
      CHECK(module.scale == 1);
      CHECK(module.variant->of_embedding() == (module.name == "embed_tokens"));
      CHECK(difference(host(module.a), factor(c.name, module, 0)) < 1e-6);
      CHECK(difference(host(module.b), factor(c.name, module, 1)) < 1e-6);
    }
  }
  for (const auto& way : {std::pair{"cat", CombineOptions{.method = CombineMethod::cat}},
                          {"svd", CombineOptions{.method = CombineMethod::svd, .rank = 3}}})
    for (const LoraModule& module : combine(three(), way.second).adapter.modules) {
      std::string name = way.first;  // not a binding, which INFO's lambda cannot capture with clang 14
      INFO(name, ": ", module.name);
      CHECK(difference(times(host(module.b), host(module.a)), times(factor(name, module, 1), factor(name, module, 0))) <
            2e-5);
    }
}

TEST_CASE("combine: cat is the exact sum, and has one rank for all modules") {
  Combination made = combine(three(), {});
  CHECK(made.adapter.config.r == 10);  // of the embedding, which all have
  CHECK(made.adapter.config.lora_alpha == 10);
  std::vector<std::string> targets = made.adapter.config.target_modules.names;
  std::sort(targets.begin(), targets.end());
  CHECK(targets == std::vector<std::string>{"down", "embed_tokens", "side", "up"});
  CHECK(made.adapter.config.alpha_pattern.empty());
  CHECK(made.adapter.config.use_rslora == false);
  for (const LoraModule& module : made.adapter.modules) {
    INFO(module.name);
    CHECK(module.a.rows() == 10);
    CHECK(difference(times(host(module.b), host(module.a)), exact_sum(three(), module.name)) < 1e-5);
  }
}

TEST_CASE("combine: svd is the nearest of its rank, and says how far it is") {
  for (std::int64_t rank : {1, 3, 20}) {
    CAPTURE(rank);
    Combination made = combine(three(), {.method = CombineMethod::svd, .rank = rank});
    double norm = 0, error = 0, best = 0;
    for (const LoraModule& module : made.adapter.modules) {
      HostMatrix sum = exact_sum(three(), module.name), product = times(host(module.b), host(module.a));
      for (std::size_t i = 0; i < sum.values.size(); ++i) {
        norm += sum.values[i] * sum.values[i];
        error += (sum.values[i] - product.values[i]) * (sum.values[i] - product.values[i]);
      }
      std::vector<double> s = svd(sum).s;
      for (auto i = static_cast<std::size_t>(rank); i < s.size(); ++i) best += s[i] * s[i];
    }
    CHECK(made.norm == doctest::Approx(std::sqrt(norm)));
    CHECK(made.error == doctest::Approx(std::sqrt(error)).epsilon(1e-3));
    CHECK(std::sqrt(error) <= 1.0001 * std::sqrt(best) + 1e-4);
  }
  CHECK(combine(three(), {.method = CombineMethod::svd}).adapter.config.r == 4);
}

TEST_CASE("combine: dare keeps a part of the values, drawn by seed, module and adapter, and divides by it") {
  CombineOptions options{.method = CombineMethod::dare_linear, .density = 0.25, .seed = 3};
  std::vector<double> values(4000, 2.0), again = values, other = values;
  prune_values(options, "m.A", 0, values);
  auto kept = std::count(values.begin(), values.end(), 8.0);
  CHECK(kept + std::count(values.begin(), values.end(), 0.0) == 4000);
  CHECK(kept > 880);
  CHECK(kept < 1120);
  prune_values(options, "m.A", 0, again);
  CHECK(values == again);
  prune_values(options, "m.A", 1, other);
  CHECK(values != other);
}

TEST_CASE("combine: what one adapter has in the place of the base's stays, with a weight of 1") {
  DevicePtr device = test_device(1);
  std::vector<LinearShape> maps{{"up", 7, 9}};
  auto with = [&](LoraConfig config, std::uint64_t seed) {
    config.target_modules = {"up"};
    return trained_adapter(config, maps, seed);
  };
  auto random = [&](Shape shape) {
    Tensor values = Tensor::empty(device, shape, DType::f32);
    fill_normal(values, 9);
    return values;
  };
  LoraConfig config{.r = 2, .lora_alpha = 3, .target_modules = {}};
  config.bias = TrainedBias::all;
  config.modules_to_save = {"lm_head"};
  config.trainable_token_indices = {{"", {5, 2}}};
  Adapter one = with(config, 1), other = with({.r = 3, .lora_alpha = 4, .target_modules = {}}, 2);
  one.parameters_of_base = {{"lm_head.weight", random({4, 7}), DType::bf16}, {"up.bias", random({1, 9}), DType::f32}};
  one.rows_of_base = {{"model.embed_tokens", {5, 2}, random({2, 7})}};
  for (const std::vector<WeightedAdapter>& adapters :
       {std::vector<WeightedAdapter>{{one, 1}, {other, 0.5}}, {{other, -2}, {one, 1}}}) {
    Adapter made = combine(adapters, {}).adapter;
    CHECK(made.config.bias == TrainedBias::all);
    CHECK(made.config.modules_to_save == config.modules_to_save);
    REQUIRE(made.config.trainable_token_indices.size() == 1);
    CHECK(made.config.trainable_token_indices[0].ids == std::vector<std::int32_t>{5, 2});
    REQUIRE(made.parameters_of_base.size() == 2);
    CHECK(made.parameters_of_base[0].stored == DType::bf16);
    CHECK(made.parameters_of_base[1].values.values<float>() == one.parameters_of_base[1].values.values<float>());
    REQUIRE(made.rows_of_base.size() == 1);
    CHECK(made.rows_of_base[0].values.values<float>() == one.rows_of_base[0].values.values<float>());
  }
  auto refusal = [](const std::vector<WeightedAdapter>& adapters) {
    return message_of<InputError>([&] { combine(adapters, {}); });
  };
  CHECK(refusal({{one, 0.5}, {other, 1}}) ==
        "combine: lm_head.weight: expected one adapter of weight 1 that replaces parts of the base, found a weight of "
        "0.5, which would take the base's values");
  CHECK(contains(refusal({{one, 1}, {other, 1}, {one, 1}}), "found another"));
  // An adapter of the embedding that another one has rows of, or of a module that another one trained whole.
  LoraConfig of_embedding{.r = 3, .lora_alpha = 4, .target_modules = {"embed_tokens"}};
  std::vector<LinearShape> embedding{
      {.name = "model.embed_tokens", .in = 8, .out = 7, .layout = WeightLayout::in_out, .is_embedding = true}};
  Adapter rows = one;
  rows.parameters_of_base = {};
  rows.config.modules_to_save = {};
  CHECK(refusal({{rows, 1}, {trained_adapter(of_embedding, embedding), 1}}) ==
        "combine: model.embed_tokens: expected it adapted or replaced, found both");
  rows.rows_of_base = {};
  rows.parameters_of_base = one.parameters_of_base;
  rows.config.modules_to_save = {"up"};
  CHECK(contains(refusal({{rows, 1}, {other, 1}}), "combine: up: expected it adapted or replaced"));
}

TEST_CASE("combine: what is refused") {
  auto message = [](CombineOptions options) { return message_of<UsageError>([&] { options.check(); }); };
  CHECK(message({.method = CombineMethod::ties}) ==
        "density: expected the part of the values that ties keeps, found none");
  CHECK(message({.method = CombineMethod::ties, .density = 0}) == "density: expected a number in (0, 1], found 0");
  CHECK(message({.density = 0.5}) == "density: expected none beside the method cat, which prunes nothing, found 0.5");
  CHECK(message({.method = CombineMethod::ties, .rank = 3, .density = 1}) ==
        "rank: expected none beside the method ties, whose rank is given, found 3");
  CHECK(contains(message_of<UsageError>([] { combine_method_named("tie"); }), "dare_linear, dare_ties"));

  std::vector<WeightedAdapter> adapters{adapter_of_peft("first", 1), adapter_of_peft("third", 1)};
  CHECK(message_of<InputError>([&] { combine(adapters, {.method = CombineMethod::linear}); }) ==
        "combine: embed_tokens: expected adapters of one rank, found 4 and 2 (cat and svd take any)");
  LoraConfig config;
  config.r = 3;
  config.target_modules = {"up"};
  adapters.push_back({trained_adapter(config, {{"up", 8, 9}}), 1});
  CHECK(message_of<InputError>([&] { combine(adapters, {}); }) ==
        "combine: up: expected adapters of one base, found maps of 7 to 9 and of 8 to 9");
  std::vector<LinearShape> table{
      {.name = "up", .in = 7, .out = 9, .layout = WeightLayout::in_out, .is_embedding = true}};
  CHECK(message_of<InputError>([&] {
          combine({{trained_adapter(config, {{"up", 7, 9}}), 1}, {trained_adapter(config, table), 1}}, {});
        }) == "combine: up: expected adapters of one base, found an embedding's and a linear map's");
  // A table of PEFT's that is not the others', and one where none was told.
  std::vector<std::string> first{golden + "first"};
  CHECK(contains(
      message_of<InputError>([&] { load_adapter(first[0], test_device(1), adapter_outline(first[0]), false); }),
      "unexpected: base_model.model.embed_tokens.base_layer.weight"));
  TempFolder changed;
  std::string bytes = get(first[0] + "/adapter_model.safetensors");
  StoredTensors file = open_safetensors(first[0] + "/adapter_model.safetensors");
  const StoredTensor* stored = file.find("base_model.model.embed_tokens.base_layer.weight");
  REQUIRE(stored);
  auto at = bytes.find(std::string(reinterpret_cast<const char*>(stored->bytes), stored->byte_count));
  REQUIRE(at != std::string::npos);
  bytes[at + 2] = static_cast<char>(bytes[at + 2] ^ 1);
  put(changed / "adapter_model.safetensors", bytes);
  put(changed / "adapter_config.json", get(first[0] + "/adapter_config.json"));
  CHECK(contains(message_of<InputError>([&] {
                   load_adapter(changed.path(), test_device(1), adapter_outline(changed.path()), false, nullptr,
                                DType::f32, tables_beside({first[0], changed.path()}));
                 }),
                 "embed_tokens.base_layer.weight: expected the base's own values"));
  config.lora_bias = true;
  CHECK(contains(message_of<InputError>([&] {
                   combine({{trained_adapter(config, {{"up", 7, 9}}), 1}}, {});
                 }),
                 "combine: up: expected A and B alone"));
}
