#include "lora/combine.h"

#include <algorithm>

#include "lora/adapter_file.h"
#include "lora/adapter_outline.h"
#include "lora/merge_values.h"
#include "lora/svd.h"
#include "tests/lora/support.h"

using namespace loragrad;
using namespace loragrad::test;

namespace {

const std::string golden = "tests/lora/golden/combine/";

WeightedAdapter adapter_of_peft(const std::string& name, double weight) {
  return {load_adapter(golden + name, test_device(1), adapter_outline(golden + name), false), weight};
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
  static const SafetensorsFile file = open_safetensors(golden + "results.safetensors");
  const StoredTensor* tensor = file.find(name);
  REQUIRE_MESSAGE(tensor != nullptr, name);
  const auto* values = reinterpret_cast<const float*>(tensor->bytes);
  return {tensor->shape[0], tensor->shape[1], {values, values + tensor->shape[0] * tensor->shape[1]}};
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
    CHECK(made.modules.size() == 3);
    CHECK(made.config.r == 4);
    CHECK(made.config.lora_alpha == 4);
    for (const LoraModule& module : made.modules) {
      INFO(module.name);
      std::string begin = std::string(c.name) + "." + module.name + ".lora_";
      CHECK(module.scale == 1);
      CHECK(difference(host(module.a), stored(begin + "A.weight")) < 1e-6);
      CHECK(difference(host(module.b), stored(begin + "B.weight")) < 1e-6);
    }
  }
  for (const auto& [name, options] : {std::pair{"cat", CombineOptions{.method = CombineMethod::cat}},
                                      {"svd", CombineOptions{.method = CombineMethod::svd, .rank = 3}}})
    for (const LoraModule& module : combine(three(), options).adapter.modules) {
      INFO(name, ": ", module.name);
      std::string begin = std::string(name) + "." + module.name + ".lora_";
      CHECK(difference(times(host(module.b), host(module.a)),
                       times(stored(begin + "B.weight"), stored(begin + "A.weight"))) < 2e-5);
    }
}

TEST_CASE("combine: cat is the exact sum, and has one rank for all modules") {
  Combination made = combine(three(), {});
  CHECK(made.adapter.config.r == 8);  // of down, which two of rank 4 have
  CHECK(made.adapter.config.lora_alpha == 8);
  CHECK(made.adapter.config.target_modules.text() == "down,up,side");
  CHECK(made.adapter.config.alpha_pattern.empty());
  CHECK(made.adapter.config.use_rslora == false);
  for (const LoraModule& module : made.adapter.modules) {
    INFO(module.name);
    CHECK(module.a.rows() == 8);
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
        "combine: up: expected adapters of one rank, found 4 and 2 (cat and svd take any)");
  LoraConfig config;
  config.r = 3;
  config.target_modules = {"up"};
  adapters.push_back({trained_adapter(config, {{"up", 8, 9}}), 1});
  CHECK(message_of<InputError>([&] { combine(adapters, {}); }) ==
        "combine: up: expected adapters of one base, found maps of 7 to 9 and of 8 to 9");
  config.lora_bias = true;
  CHECK(contains(message_of<InputError>([&] {
                   combine({{trained_adapter(config, {{"up", 7, 9}}), 1}}, {});
                 }),
                 "combine: up: expected A and B alone"));
}
