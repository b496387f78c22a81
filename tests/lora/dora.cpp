#include <cstring>

#include "engine/half.h"
#include "engine/place.h"
#include "io/json.h"
#include "lora/active_adapters.h"
#include "lora/files/adapter_file.h"
#include "lora/magnitude.h"
#include "tests/lora/magnitudes.h"
#include "tests/lora/support.h"

using namespace loragrad;
using namespace loragrad::test;

namespace loragrad {

std::vector<VariantCase> dora_cases() {
  return {{"r 2", {.r = 2, .lora_alpha = 5, .target_modules = {}, .use_dora = true}, hold_lengths},
          {"r 4, rsLoRA, gaussian",
           {.r = 4,
            .lora_alpha = 7,
            .target_modules = {},
            .use_rslora = true,
            .init_lora_weights = LoraInit::gaussian,
            .use_dora = true},
           hold_lengths}};
}

}  // namespace loragrad

namespace {

LoraConfig config_of(TargetModules targets) {
  return {.r = 2, .lora_alpha = 5, .target_modules = std::move(targets), .use_dora = true};
}

std::vector<LinearShape> one_map(const DevicePtr& device) {
  return {{.name = "m.q_proj",
           .in = 3,
           .out = 2,
           .weight = Weight(Tensor::from<float>(device, {2, 3}, {3, 4, 0, 0, 0, 2}))}};
}

/// The lengths of the rows of W + s B A, in f64 on the host.
std::vector<double> expected_lengths(const Tensor& w, bool in_out, const Tensor& a, const Tensor& b, double s) {
  std::vector<double> wv = read_values(w), av = read_values(a), bv = read_values(b), result;
  std::int64_t in = a.cols(), out = b.rows(), r = a.rows();
  for (std::int64_t j = 0; j < out; ++j) {
    double sum = 0;
    for (std::int64_t i = 0; i < in; ++i) {
      double value = wv[static_cast<std::size_t>(in_out ? i * out + j : j * in + i)];
      for (std::int64_t k = 0; k < r; ++k)
        value += s * bv[static_cast<std::size_t>(j * r + k)] * av[static_cast<std::size_t>(k * in + i)];
      sum += value * value;
    }
    result.push_back(std::sqrt(sum));
  }
  return result;
}

}  // namespace

TEST_CASE("the lengths of W + s B A's rows, of every type and layout that a base has") {
  for (DType dtype : {DType::f32, DType::bf16, DType::f16, DType::f64})
    for (bool in_out : {false, true})
      for (auto [in, out] : {std::pair<std::int64_t, std::int64_t>{7, 5}, {1, 1}, {301, 130}}) {
        Setting s{test_device(2), dtype == DType::f64 ? DType::f64 : DType::f32, 3};
        Shape shape = in_out ? Shape{in, out} : Shape{out, in};
        // Exact in every type; in memory that begins at an odd byte, as a mapped file may.
        Tensor values = s.constant(shape, 1);
        std::vector<double> numbers = read_values(values);
        auto bytes = std::make_shared<std::vector<std::byte>>(bytes_of(dtype, shape.numel()) + 1);
        for (std::size_t i = 0; i < numbers.size(); ++i) {
          auto put = [&](auto value) { std::memcpy(bytes->data() + 1 + i * sizeof value, &value, sizeof value); };
          if (dtype == DType::f64) put(numbers[i]);
          if (dtype == DType::f32) put(static_cast<float>(numbers[i]));
          if (dtype == DType::bf16) put(bf16(static_cast<float>(numbers[i])));
          if (dtype == DType::f16) put(to_f16(static_cast<float>(numbers[i])));
        }
        Weight w = place(s.device, {bytes->data() + 1, bytes->size() - 1, bytes}, dtype, shape, dtype,
                         in_out ? WeightLayout::in_out : WeightLayout::out_in);
        Tensor a = s.parameter({3, in}, 2), b = s.parameter({out, 3}, 4);
        CAPTURE(name_of(dtype));
        CAPTURE(in_out);
        std::vector<double> found = read_values(row_norms(w, a, b, 0.75)),
                            expected = expected_lengths(values, in_out, a, b, 0.75);
        Tensor none = Tensor::zeros(s.device, b.shape(), b.dtype());
        std::vector<double> plain = read_values(row_norms(w)), alone = expected_lengths(values, in_out, a, none, 1);
        for (std::size_t j = 0; j < expected.size(); ++j) {
          CHECK(found[j] == doctest::Approx(expected[j]).epsilon(2e-6));
          CHECK(plain[j] == doctest::Approx(alone[j]).epsilon(2e-6));
        }
      }
}

TEST_CASE("a magnitude scales the rows of W + s B A, and neither the bias nor other adapters") {
  DevicePtr device = test_device(1);
  auto values = [&](Shape shape, std::vector<float> list) { return Tensor::from(device, shape, std::move(list)); };
  LoraModule module = small_module(device, dora());
  LoraMap map{Weight(values({2, 2}, {2, 2, 5, 12})), Weight(values({1, 2}, {100, 200})), {}};
  Tensor x = values({1, 2}, {1, 2});
  // W + 0.5 B A = [[3, 4], [5, 12]], of lengths 5 and 13; times x 11 and 29; times 10 / 5 and 26 / 13.
  dora().add_to(map, module, {});
  map.terms.push_back({values({1, 2}, {1, 1}), values({2, 1}, {1, 1}), 4, {}});
  CHECK(lora_linears(x, {map}).front().values<float>() == std::vector<float>{100 + 22 + 12, 200 + 58 + 12});
  // A quarter of it: W x is 6 and 29.
  map.terms.clear();
  dora().add_to(map, module, {.weight = 0.25});
  CHECK(lora_linears(x, {map}).front().values<float>() == std::vector<float>{100 + 6 + 4, 200 + 29 + 7.25f});
}

TEST_CASE("a row of zeros has no length, and stays zero until B moves it") {
  DevicePtr device = test_device(1);
  auto values = [&](Shape shape, std::vector<float> list) { return Tensor::from(device, shape, std::move(list)); };
  LoraModule module{.name = "m",
                    .a = values({1, 2}, {1, 2}),
                    .b = values({2, 1}, {0, 0}),
                    .variant = &dora(),
                    .magnitude = values({1, 2}, {0, 1})};
  LoraMap map{Weight(values({2, 2}, {0, 0, 0, 1})), {}, {}};
  dora().add_to(map, module, {});
  CHECK(lora_linears(values({1, 2}, {3, 4}), {map}).front().values<float>() == std::vector<float>{0, 4});
}

TEST_CASE("DoRA as it trains, with all of its weight: gradients for every mask, with and without dropout") {
  for (WeightLayout layout : {WeightLayout::out_in, WeightLayout::in_out})
    for (double p : {0.0, 0.4})
      for (IndexRange range : {IndexRange{}, IndexRange{1, 3}}) {
        auto run = [=](const std::vector<Tensor>& v, const Setting& s) {
          Dropout dropout{p, 7, s.integers({4, 2}, {0, 0, 0, 1, 0, 2, 1, 0})};
          Weight w(s.constant(layout == WeightLayout::out_in ? Shape{5, 6} : Shape{6, 5}, 1), layout);
          LoraTerm term{v[1], v[2], 2.5, dropout, range};
          term.magnitude = {v[3], 1, lengths(s, 5)};
          return lora_linear(s.compute(v[0]), w, Parameter(v[4]), {{v[1], v[2], -0.5, {}}, term});
        };
        OpCase op_case{.name = "DoRA",
                       .inputs = {{4, 6}, {3, 6}, {5, 3}, {1, 5}, {1, 5}},
                       .run = run,
                       .f32_tolerance = 1e-5,
                       .bf16_tolerance = 6e-2};
        CAPTURE(p);
        CHECK(gradient_failure(op_case) == "");
        CHECK(precision_failure(op_case, DType::f32) == "");
        CHECK(precision_failure(op_case, DType::bf16) == "");
      }
}

TEST_CASE("magnitudes start as the lengths of the base's rows, and are a vector in PEFT's file") {
  DevicePtr device = test_device(1);
  Adapter adapter = make_adapter(device, config_of({"q_proj"}), one_map(device), 1);
  CHECK(adapter.modules[0].magnitude.values<float>() == std::vector<float>{5, 2});
  CHECK(adapter.parameters() == 2 * (3 + 2) + 2);
  TempFolder folder;
  save_adapter(adapter, folder.path());
  StoredTensors file = open_safetensors(folder / "adapter_model.safetensors");
  const StoredTensor* magnitude = file.find("base_model.model.m.q_proj.lora_magnitude_vector");
  REQUIRE(magnitude);
  CHECK(magnitude->shape == std::vector<std::int64_t>{2});
  CHECK(read_json_file(folder / "adapter_config.json").find("use_dora")->dump() == "true");
}

TEST_CASE("magnitudes have the names of PEFT's model too, and those of its older files") {
  DevicePtr device = test_device(1);
  Adapter adapter = make_adapter(device, config_of({"q_proj"}), one_map(device), 1);
  TempFolder folder;
  save_adapter(adapter, folder.path());
  StoredTensors file = open_safetensors(folder / "adapter_model.safetensors");
  for (std::string end : {".default.weight", ".default", ".weight"}) {
    std::vector<TensorToWrite> renamed;
    for (const StoredTensor& t : file.tensors) {
      std::string name = t.name;
      if (name.ends_with("_vector"))
        name += end;
      else if (end.starts_with(".default"))
        name.insert(name.rfind('.'), ".default");
      renamed.push_back({name, t.dtype(), t.shape, t.bytes});
    }
    TempFolder copy;
    put(copy / "adapter_config.json", get(folder / "adapter_config.json"));
    write_safetensors(copy / "adapter_model.safetensors", renamed);
    CAPTURE(end);
    Adapter loaded = load_adapter(copy.path(), device, one_map(device), false);
    CHECK(loaded.modules[0].magnitude.values<float>() == std::vector<float>{5, 2});
  }
}

TEST_CASE("two with DoRA at once are refused, those of different rows are not") {
  DevicePtr device = test_device(1);
  Adapter adapter = make_adapter(device, config_of({"q_proj"}), one_map(device), 1);
  std::string expected = "adapters: expected at most one with DoRA for m.q_proj, found two at once";
  using Name = std::optional<std::string>;
  for (auto [first, second, both] : {std::tuple<Name, Name, bool>{{}, {}, true},
                                     {{}, "a", true},
                                     {"a", {}, true},
                                     {"a", "a", true},
                                     {"a", "b", false},
                                     {"", "b", false}}) {
    ActiveAdapters active;
    active.add({adapter, 1, first});
    auto add = [&active, &adapter, name = second] { active.add({adapter, 0.5, name}); };
    if (both)
      CHECK(message_of<UsageError>(add) == expected);
    else
      CHECK_NOTHROW(add());
  }
  LoraTerm term{adapter.modules[0].a, adapter.modules[0].b};
  term.magnitude.m = adapter.modules[0].magnitude;
  Tensor x = Tensor::zeros(device, {4, 3}, DType::f32);
  CHECK(message_of<UsageError>([&] {
          lora_linear(x, one_map(device)[0].weight, {}, {term, term});
        }) == "lora_linear: expected at most one magnitude for a token, found two");
}

TEST_CASE("what DoRA does not go with is refused") {
  DevicePtr device = test_device(1);
  LoraConfig config = config_of({"q_proj"});
  auto refusal = [&] { return message_of<UsageError>([&] { make_adapter(device, config, one_map(device), 1); }); };
  config.lora_bias = true;
  CHECK(refusal() == "lora_bias: expected false beside use_dora, found true");
  config.lora_bias = false;
  config.init_lora_weights = LoraInit::pissa;
  CHECK(refusal() == "init_lora_weights: expected one that leaves the base as it is beside use_dora, found \"pissa\"");
  config.init_lora_weights = LoraInit::standard;
  CHECK(message_of<UsageError>([&] {
          make_adapter(device, config, {{"m.q_proj", 3, 2}}, 1);
        }) == "m.q_proj: expected the base's weight, which the adapter starts from");
  Tensor w = Tensor::zeros(device, {2, 3}, DType::f32).set_trainable();
  LoraTerm term{Tensor::zeros(device, {1, 3}, DType::f32), Tensor::zeros(device, {2, 1}, DType::f32)};
  term.magnitude.m = Tensor::zeros(device, {1, 2}, DType::f32);
  CHECK(message_of<UsageError>([&] {
          lora_linear(Tensor::zeros(device, {1, 3}, DType::f32), w, {}, {term});
        }) == "lora_linear: expected a frozen weight beside a magnitude, found one in training");
}
