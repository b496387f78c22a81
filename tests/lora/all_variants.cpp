#include "tests/lora/all_variants.h"

#include <algorithm>
#include <limits>

#include "engine/backward.h"
#include "engine/place.h"
#include "lora/files/adapter_file.h"
#include "lora/lora_embedding.h"
#include "lora/merge/merge.h"
#include "tests/lora/support.h"
#include "tests/ops/all_ops.h"

namespace loragrad {
namespace {

using namespace test;

constexpr double half_weight = 0.5;  // an adapter's weight in a pass, or a merge

LoraConfig on_all(LoraConfig config) {
  config.target_modules = TargetModules::parse("regex:.*");
  return config;
}

/// Of a map; the same in every setting of one seed.
struct Base {
  Weight w, bias;
};
Base base_of(const Setting& s, const LinearShape& map) {
  bool out_in = map.layout == WeightLayout::out_in;
  return {Weight(s.constant(out_in ? Shape{map.out, map.in} : Shape{map.in, map.out}, 1), map.layout),
          Weight(s.parameter({1, map.out}, 2))};
}

constexpr std::uint64_t seed = 3;

/// Of both layouts, or two embeddings, with weights in f32.
std::vector<LinearShape> two_maps(const DevicePtr& device, const LoraVariant& variant) {
  std::vector<LinearShape> maps{{"layers.0.wide", 7, 5, WeightLayout::out_in, true},
                                {"layers.0.conv1d", 6, 8, WeightLayout::in_out, true}};
  if (variant.of_embedding())
    maps = {{"a.tokens", 7, 5, WeightLayout::in_out, false, {}, true},
            {"b.tokens", 9, 4, WeightLayout::in_out, false, {}, true}};
  for (LinearShape& map : maps) map.weight = base_of({device, DType::f32, seed}, map).w;
  return maps;
}

Adapter fresh(const DevicePtr& device, const LoraVariant& variant, const LoraConfig& config, DType dtype = DType::f32,
              std::uint64_t draw = 3) {
  return make_adapter(device, on_all(config), two_maps(device, variant), draw, dtype);
}

/// As after training: none of its tensors is what it started from.
Adapter trained(const DevicePtr& device, const LoraVariant& variant, const LoraConfig& config) {
  Adapter adapter = fresh(device, variant, config);
  std::uint64_t seed = 20;
  for (auto& [name, tensor] : adapter.tensors()) fill_normal(tensor, ++seed);
  return adapter;
}

Dropout dropout_of(const Setting& s, std::int64_t tokens) {
  std::vector<std::int32_t> places;
  for (std::int32_t t = 0; t < tokens; ++t) places.insert(places.end(), {t / 4, t % 4});
  return {0.5, 7, s.integers({tokens, 2}, places)};
}

/// What a map reads: x, or an embedding's tokens.
Tensor input_of(const LoraVariant& variant, const Setting& s, const LinearShape& map, std::int64_t tokens = 6) {
  return variant.of_embedding() ? s.indices(tokens, map.in, 3) : s.constant({tokens, map.in}, 3);
}

constexpr double embedding_scale = 1.5;

Tensor output(const LoraVariant& variant, const Tensor& input, const LoraMap& map, DType dtype) {
  return variant.of_embedding() ? lora_embedding(input, {map.w, {}, map.terms}, dtype, embedding_scale)
                                : lora_linears(input, {map}).front();
}

Tensor forward(const LoraVariant& variant, const Tensor& input, const Base& base, const LoraModule& module,
               const ModuleUse& use, DType dtype = DType::f32) {
  LoraMap map{base.w, base.bias, {}};
  variant.add_to(map, module, use);
  return output(variant, input, map, dtype);
}

Tensor of_base(const LoraVariant& variant, const Tensor& input, const Base& base) {
  return output(variant, input, {base.w, base.bias, {}}, DType::f32);
}

void check_start(const LoraVariant& variant, const LoraConfig& config) {
  Setting s{test_device(2), DType::f32, seed};
  std::vector<LinearShape> maps = two_maps(s.device, variant);
  Adapter adapter = fresh(s.device, variant, config), wide = fresh(s.device, variant, config, DType::f64),
          other = fresh(s.device, variant, config, DType::f32, 4);
  std::int64_t count = 0;
  bool proved = false, drawn = false;
  for (std::size_t i = 0; i < maps.size(); ++i) {
    const LinearShape& map = maps[i];
    LoraModule& module = adapter.modules.at(i);
    CHECK(module.variant == &variant);
    for (const VariantTensor& part : variant.tensors()) {
      CAPTURE(std::string(part.name));
      Tensor tensor = module.*part.place;
      REQUIRE(tensor.defined());
      CHECK(tensor.shape() == part.shape({config, map, config.r}));
      CHECK(tensor.needs_grad());
      CHECK((wide.modules[i].*part.place).values<double>() == tensor.to(DType::f64).values<double>());
      drawn = drawn || (other.modules[i].*part.place).values<float>() != tensor.values<float>();
      count += tensor.numel();
    }
    Base base = base_of(s, map);
    Tensor x = input_of(variant, s, map);
    Tensor y = forward(variant, x, base, module, {half_weight, dropout_of(s, 6), {}});
    CHECK(y.values<float>() == of_base(variant, x, base).values<float>());
    backward(y, s.constant(y.shape(), 4));
    for (const VariantTensor& part : variant.tensors()) {
      if (!part.proves) continue;
      proved = true;
      auto gradient = (module.*part.place).grad().values<float>();
      CHECK(std::any_of(gradient.begin(), gradient.end(), [](float g) { return g != 0; }));
    }
  }
  CHECK(proved);
  CHECK(drawn);  // from the seed
  CHECK(adapter.parameters() == count);
}

/// The forward as an op of x and the variant's tensors.
OpCase op_case_of(const LoraVariant& variant, const VariantCase& each, const std::string& name, const LinearShape& map,
                  std::int64_t tokens, bool dropout = false, IndexRange range = {}) {
  const LoraConfig& config = each.config;
  OpCase op_case{.name = name, .inputs = {}, .run = {}, .f32_tolerance = 1e-5, .bf16_tolerance = 6e-2};
  if (!variant.of_embedding()) op_case.inputs.push_back({tokens, map.in});
  for (const VariantTensor& part : variant.tensors()) op_case.inputs.push_back(part.shape({config, map, config.r}));
  op_case.run = [=, &variant, hold = each.hold](const std::vector<Tensor>& in, const Setting& s) {
    LoraModule module{.name = map.name, .scale = config.scaling(), .layout = map.layout, .variant = &variant};
    std::size_t next = variant.of_embedding() ? 0 : 1;
    Tensor input = variant.of_embedding() ? input_of(variant, s, map, tokens) : s.compute(in[0]);
    for (const VariantTensor& part : variant.tensors()) module.*part.place = in[next++];
    if (hold) hold(module, s);
    ModuleUse use{-0.75, dropout ? dropout_of(s, tokens) : Dropout{}, range};
    return forward(variant, input, base_of(s, map), module, use, s.dtype);
  };
  return op_case;
}

void check_forward(const LoraVariant& variant, const VariantCase& config) {
  bool embedding = variant.of_embedding();
  WeightLayout layout = embedding ? WeightLayout::in_out : WeightLayout::out_in;
  LinearShape map{"m", 7, 5, layout}, conv1d{"m", 3, 5, WeightLayout::in_out}, large{"m", 70, 131, layout};
  std::vector<OpCase> cases{op_case_of(variant, config, "6 tokens", map, 6),
                            op_case_of(variant, config, "no tokens", map, 0),
                            op_case_of(variant, config, "1x1", {"m", 1, 1, layout}, 1),
                            op_case_of(variant, config, "[in, out]", conv1d, 4),
                            op_case_of(variant, config, "dropout", map, 6, true),
                            op_case_of(variant, config, "some tokens", map, 6, true, {1, 4}),
                            op_case_of(variant, config, "tokens that are not there", map, 6, false, {6, 90}),
                            op_case_of(variant, config, "large", large, embedding ? 70 : 301, true)};
  cases.back().finite_differences = false;
  check_op(cases);
}

void check_file(const LoraVariant& variant, const LoraConfig& config) {
  std::vector<LinearShape> maps = two_maps(test_device(2), variant);
  Adapter adapter = trained(test_device(2), variant, config);
  TempFolder folder;
  save_adapter(adapter, folder.path());
  std::string path = folder / "adapter_model.safetensors";
  StoredTensors file = open_safetensors(path);
  CHECK(file.tensors.size() == maps.size() * variant.tensors().size());
  auto load = [&] { return load_adapter(folder.path(), test_device(2), maps, true); };
  Adapter loaded = load();
  for (const LoraModule& module : loaded.modules) CHECK(module.variant == &variant);
  auto before = adapter.tensors(), after = loaded.tensors();
  REQUIRE(before.size() == after.size());
  for (std::size_t i = 0; i < before.size(); ++i) {
    CHECK(before[i].first == after[i].first);
    CHECK(before[i].second.values<float>() == after[i].second.values<float>());
    CHECK(after[i].second.needs_grad());
    CHECK(file.find("base_model.model." + before[i].first) != nullptr);
  }
  // Whatever lacks, or has another shape, is named; whatever is not a number is refused.
  for (const StoredTensor& gone : file.tensors) {
    std::vector<TensorToWrite> without, reshaped, broken;
    std::vector<float> bad(gone.byte_count / sizeof(float), std::numeric_limits<float>::infinity());
    for (const StoredTensor& t : file.tensors) {
      TensorToWrite kept{t.name, t.dtype(), t.shape, t.bytes};
      if (t.name != gone.name) without.push_back(kept);
      reshaped.push_back(kept);
      if (t.name == gone.name) reshaped.back().shape.push_back(1);
      broken.push_back(kept);
      if (t.name == gone.name) broken.back().data = bad.data();
    }
    TempFolder copy;
    put(copy / "adapter_config.json", get(folder / "adapter_config.json"));
    auto refusal = [&](const std::vector<TensorToWrite>& tensors) {
      write_safetensors(copy / "adapter_model.safetensors", tensors);
      return message_of<InputError>([&] { load_adapter(copy.path(), test_device(2), maps, false); });
    };
    CHECK(contains(refusal(without), "missing: " + gone.name));
    CHECK(contains(refusal(reshaped), "of another shape: " + gone.name));
    CHECK(contains(refusal(broken), gone.name + ": expected finite numbers"));
  }
}

void check_merge(const LoraVariant& variant, const LoraConfig& config) {
  Setting s{test_device(2), DType::f32, seed};
  Adapter adapter = trained(s.device, variant, config);
  std::vector<LinearShape> maps = two_maps(s.device, variant);
  for (std::size_t i = 0; i < maps.size(); ++i) {
    const LinearShape& map = maps[i];
    LoraModule& module = adapter.modules[i];
    Base base = base_of(s, map), merged = base, back = base;
    auto merge = [&](Weight& parameter, std::string_view name, std::vector<double> weights) {
      std::vector<MergeTerm> terms;
      for (double weight : weights) terms.push_back({&module, weight, name});
      auto bytes = std::make_shared<std::vector<std::byte>>(merge_weight(std::string(name), parameter, terms));
      parameter = place(s.device, {bytes->data(), bytes->size(), bytes}, DType::f32, parameter.shape(), DType::f32,
                        parameter.layout());
    };
    for (std::string_view name : variant.merged()) {
      REQUIRE_MESSAGE((name == "weight" || name == "bias"), std::string(name));
      merge(name == "weight" ? merged.w : merged.bias, name, {half_weight});
      merge(name == "weight" ? back.w : back.bias, name, {half_weight, -half_weight});
    }
    Tensor x = input_of(variant, s, map);
    auto apart = forward(variant, x, base, module, {half_weight, {}, {}}).values<float>();
    auto together = of_base(variant, x, merged).values<float>();
    auto undone = of_base(variant, x, back).values<float>(), alone = of_base(variant, x, base).values<float>();
    double effect = 0;
    for (std::size_t k = 0; k < apart.size(); ++k) {
      CHECK(std::abs(together[k] - apart[k]) <= 1e-5 * (std::abs(apart[k]) + 10));
      CHECK(std::abs(undone[k] - alone[k]) <= 1e-5 * (std::abs(alone[k]) + 10));
      effect = std::max(effect, std::abs(double{apart[k]} - double{alone[k]}));
    }
    CHECK(effect > 0.1);
    for (const VariantTensor& part : variant.tensors()) {
      Tensor tensor = module.*part.place;
      std::vector<float> kept = tensor.values<float>();
      tensor.fill(std::numeric_limits<double>::quiet_NaN());
      for (std::string_view name : variant.merged())
        CHECK(contains(message_of<NumericError>([&] {
                         Weight parameter = name == "weight" ? base.w : base.bias;
                         merge(parameter, name, {1});
                       }),
                       "the adapter's " + std::string(part.name)));
      tensor.set_values(kept);
    }
  }
}

}  // namespace

void check_variant(const LoraVariant& variant, const std::vector<VariantCase>& cases) {
  CHECK(!cases.empty());
  std::vector<const LoraVariant*> all = all_variants();
  CHECK(std::count(all.begin(), all.end(), &variant) == 1);
  for (const VariantCase& each : cases) {
    CAPTURE(each.name);
    REQUIRE(&variant_of(each.config, two_maps(test_device(2), variant).front()) == &variant);
    REQUIRE(each.config.lora_alpha != static_cast<double>(each.config.r));
    check_start(variant, each.config);
    check_forward(variant, each);
    check_file(variant, each.config);
    check_merge(variant, each.config);
  }
}

}  // namespace loragrad
