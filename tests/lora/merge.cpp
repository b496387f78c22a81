#include "lora/merge/merge.h"

#include <cstring>
#include <limits>

#include "engine/half.h"
#include "engine/place.h"
#include "lora/lora_linear.h"
#include "tests/lora/support.h"

using namespace loragrad;
using namespace loragrad::test;

namespace {

/// Numbers in the file's type, and what they are.
struct StoredMatrix {
  std::vector<std::byte> bytes;
  std::vector<double> values;
};

template <class Stored>
StoredMatrix stored(std::int64_t count, std::uint64_t seed, auto round) {
  StoredMatrix result;
  Random random(seed, 1);
  for (std::int64_t i = 0; i < count; ++i) {
    Stored value = round(random.normal());
    const auto* bytes = reinterpret_cast<const std::byte*>(&value);
    result.bytes.insert(result.bytes.end(), bytes, bytes + sizeof value);
    if constexpr (sizeof(Stored) == 2)
      result.values.push_back(static_cast<float>(value));
    else
      result.values.push_back(value);
  }
  return result;
}

StoredMatrix stored(DType dtype, std::int64_t count, std::uint64_t seed) {
  if (dtype == DType::bf16) return stored<bf16>(count, seed, [](double v) { return bf16(static_cast<float>(v)); });
  if (dtype == DType::f16) return stored<f16>(count, seed, [](double v) { return to_f16(static_cast<float>(v)); });
  if (dtype == DType::f32) return stored<float>(count, seed, [](double v) { return static_cast<float>(v); });
  return stored<double>(count, seed, [](double v) { return v; });
}

double read(const std::vector<std::byte>& bytes, DType dtype, std::size_t i) {
  auto as = [&](auto value) {
    std::memcpy(&value, bytes.data() + i * sizeof value, sizeof value);
    return value;
  };
  if (dtype == DType::bf16) return static_cast<float>(as(bf16()));
  if (dtype == DType::f16) return static_cast<float>(as(f16()));
  return dtype == DType::f32 ? static_cast<double>(as(0.f)) : as(0.0);
}

/// Half a unit in the last place of the type, relative, and the rounding of an f32 sum before it.
double tolerance(DType dtype) {
  if (dtype == DType::bf16) return 0x1p-8 + 1e-5;
  if (dtype == DType::f16) return 0x1p-11 + 1e-5;
  return dtype == DType::f32 ? 2e-6 : 1e-14;
}

LoraModule module_of(std::int64_t r, std::int64_t in, std::int64_t out, double scale, std::uint64_t seed,
                     const DevicePtr& device = test_device(2)) {
  LoraModule module{"m", Tensor::empty(device, {r, in}, DType::f32), Tensor::empty(device, {out, r}, DType::f32),
                    scale};
  fill_normal(module.a, seed);
  fill_normal(module.b, seed + 1);
  return module;
}

Weight weight_of(const DevicePtr& device, const std::vector<std::byte>& bytes, DType dtype, Shape shape,
                 WeightLayout layout = WeightLayout::out_in) {
  auto kept = std::make_shared<std::vector<std::byte>>(bytes);
  return place(device, {kept->data(), kept->size(), kept}, dtype, shape, dtype, layout);
}

void check_against_naive(DType dtype, WeightLayout layout, std::int64_t in, std::int64_t out) {
  INFO(name_of(dtype), " ", in, " -> ", out);
  LoraModule first = module_of(3, in, out, 2.5, 1), second = module_of(2, in, out, 0.75, 3, first.a.device());
  StoredMatrix w = stored(dtype, in * out, 9);
  Shape shape = layout == WeightLayout::out_in ? Shape{out, in} : Shape{in, out};
  Weight weight = weight_of(first.a.device(), w.bytes, dtype, shape, layout);
  auto merged = merge_weight("m", weight, {{&first, 1}, {&second, -0.5}});
  REQUIRE(merged.size() == w.bytes.size());
  auto b1 = first.b.values<float>(), a1 = first.a.values<float>();
  auto b2 = second.b.values<float>(), a2 = second.a.values<float>();
  double worst = 0;
  for (std::int64_t o = 0; o < out; ++o)
    for (std::int64_t i = 0; i < in; ++i) {
      auto at = static_cast<std::size_t>(layout == WeightLayout::out_in ? o * in + i : i * out + o);
      double expected = w.values[at], size = std::abs(expected);
      for (std::int64_t k = 0; k < 3; ++k) {
        double part = 2.5 * double(b1[std::size_t(o * 3 + k)]) * double(a1[std::size_t(k * in + i)]);
        expected += part, size += std::abs(part);
      }
      for (std::int64_t k = 0; k < 2; ++k) {
        double part = -0.5 * 0.75 * double(b2[std::size_t(o * 2 + k)]) * double(a2[std::size_t(k * in + i)]);
        expected += part, size += std::abs(part);
      }
      // An f32 sum is as exact as its largest parts; the last rounding is relative to the result.
      double allowed = tolerance(dtype) * std::abs(expected) + (dtype == DType::f64 ? 1e-15 : 1e-6) * size +
                       1e-7 * (dtype == DType::f16);
      worst = std::max(worst, std::abs(read(merged, dtype, at) - expected) / allowed);
    }
  CHECK(worst <= 1);
}

}  // namespace

TEST_CASE("a merged weight is W + s B A, in every type and both layouts") {
  for (DType dtype : {DType::bf16, DType::f16, DType::f32, DType::f64})
    for (WeightLayout layout : {WeightLayout::out_in, WeightLayout::in_out}) {
      check_against_naive(dtype, layout, 13, 29);
      check_against_naive(dtype, layout, 1, 5);
    }
}

TEST_CASE("a large weight is merged in blocks of rows, within the scratch space") {
  // [6000, 3000] f32 is 72 MB: three blocks.
  const std::int64_t in = 3000, out = 6000;
  for (WeightLayout layout : {WeightLayout::out_in, WeightLayout::in_out}) {
    LoraModule module = module_of(1, in, out, 2.5, 1);
    Tensor w =
        Tensor::zeros(module.a.device(), layout == WeightLayout::out_in ? Shape{out, in} : Shape{in, out}, DType::f32);
    module.a.device()->memory().reset_peak();
    auto merged = merge_weight("m", Weight(w, layout), {{&module, 1}});
    CHECK(module.a.device()->memory().largest() <= std::size_t{32} << 20);
    auto a = module.a.values<float>(), b = module.b.values<float>();
    for (std::int64_t o = 0; o < out; o += 997)
      for (std::int64_t i = 0; i < in; i += 499) {
        auto at = static_cast<std::size_t>(layout == WeightLayout::out_in ? o * in + i : i * out + o);
        double expected = 2.5 * double(b[std::size_t(o)]) * double(a[std::size_t(i)]);
        CHECK(read(merged, DType::f32, at) == doctest::Approx(expected).epsilon(1e-6));
      }
  }
}

TEST_CASE("a merge with B = 0, or with nothing, leaves the weight's bytes") {
  LoraModule module = module_of(3, 13, 7, 2.5, 1);
  module.b.fill(0);
  for (DType dtype : {DType::bf16, DType::f16, DType::f32, DType::f64}) {
    StoredMatrix w = stored(dtype, 13 * 7, 9);
    Weight weight = weight_of(module.a.device(), w.bytes, dtype, {7, 13});
    CHECK(merge_weight("m", weight, {{&module, 1}}) == w.bytes);
    CHECK(merge_weight("m", weight, {}) == w.bytes);
  }
}

TEST_CASE("merged weights give what the adapter gives beside the base") {
  LoraModule module = module_of(3, 13, 7, 2.5, 1);
  StoredMatrix w = stored(DType::f32, 13 * 7, 9);
  Weight base = weight_of(module.a.device(), w.bytes, DType::f32, {7, 13});
  auto bytes = merge_weight("m", base, {{&module, 1}});
  Weight merged = weight_of(module.a.device(), bytes, DType::f32, {7, 13});
  Tensor x = Tensor::empty(module.a.device(), {5, 13}, DType::f32);
  fill_normal(x, 4);
  auto apart = lora_linear(x, base, Weight(), {{module.a, module.b, module.scale, {}}}).values<float>();
  auto together = lora_linear(x, merged, Weight(), {}).values<float>();
  for (std::size_t i = 0; i < apart.size(); ++i)
    CHECK(std::abs(together[i] - apart[i]) <= 1e-5 * (std::abs(apart[i]) + 1));
}

TEST_CASE("a merge refuses NaN, Inf and overflow, and names the weight") {
  auto message = [](auto change, DType dtype = DType::f32) {
    LoraModule module = module_of(2, 4, 3, 2.5, 1);
    StoredMatrix w = stored(dtype, 12, 9);
    change(module, w);
    Weight weight = weight_of(module.a.device(), w.bytes, dtype, {3, 4});
    return message_of<NumericError>([&] { merge_weight("layer.w", weight, {{&module, 1}}); });
  };
  float inf = std::numeric_limits<float>::infinity(), nan = std::numeric_limits<float>::quiet_NaN();
  CHECK(message([&](auto& m, auto&) { change_values<float>(m.a, [&](auto& v) { v[1] = nan; }); }) ==
        "layer.w: expected finite numbers in the adapter's lora_A.weight, found NaN or Inf");
  CHECK(contains(message([&](auto& m, auto&) { change_values<float>(m.b, [&](auto& v) { v[1] = inf; }); }),
                 "the adapter's lora_B.weight"));
  CHECK(contains(message([&](auto&, auto& w) { std::memcpy(w.bytes.data() + 8, &nan, 4); }), "in the weight"));
  CHECK(contains(message([](auto& m, auto&) { m.scale = 1e6; }, DType::f16), "in the merged weight"));
  CHECK(contains(message([&](auto& m, auto&) { m.scale = inf; }), "a finite scale, found inf"));
  LoraModule module = module_of(2, 4, 3, 2.5, 1);
  StoredMatrix w = stored(DType::f32, 12, 9);
  Weight turned = weight_of(module.a.device(), w.bytes, DType::f32, {4, 3});
  CHECK(contains(message_of<ShapeError>([&] {
                   merge_weight("layer.w", turned, {{&module, 1}});
                 }),
                 "merge: m: A [2, 4] and B [3, 2] do not fit a weight of in = 3, out = 4"));
  Weight elsewhere = weight_of(test_device(1), w.bytes, DType::f32, {3, 4});
  CHECK(contains(message_of<ShapeError>([&] {
                   merge_weight("layer.w", elsewhere, {{&module, 1}});
                 }),
                 "merge: operands are on different devices"));
}

TEST_CASE("f32 is rounded to f16 to nearest even") {
  for (std::uint32_t bits = 0; bits < 0x10000; ++bits) {  // every f16 stays itself
    f16 half;
    half.bits = static_cast<std::uint16_t>(bits);
    auto value = static_cast<float>(half);
    if (value != value)
      CHECK(std::isnan(static_cast<float>(to_f16(value))));
    else if (to_f16(value).bits != bits)
      FAIL_CHECK("f16 " << bits << " became " << to_f16(value).bits);
    // The middle to the next one goes to the even one, a little more or less to its side.
    if ((bits & 0x7fff) >= 0x7bff) continue;
    f16 next;
    next.bits = static_cast<std::uint16_t>(bits + 1);
    float middle = (value + static_cast<float>(next)) / 2;
    float toward_next = std::nextafter(middle, static_cast<float>(next)), back = std::nextafter(middle, value);
    if (to_f16(middle).bits != (bits & 1 ? next.bits : bits)) FAIL_CHECK("middle above f16 " << bits);
    if (to_f16(toward_next).bits != next.bits) FAIL_CHECK("above the middle over f16 " << bits);
    if (to_f16(back).bits != bits) FAIL_CHECK("below the middle over f16 " << bits);
  }
  CHECK(to_f16(65519.f).bits == 0x7bff);
  CHECK(to_f16(65520.f).bits == 0x7c00);
  CHECK(to_f16(-1e30f).bits == 0xfc00);
  CHECK(to_f16(1e-30f).bits == 0);
}

TEST_CASE("what rounding keeps of a change is measured along the change") {
  // A last bit of 1 is worth 2^-7 in bf16, 2^-10 in f16: half of it is the smallest change that can be made.
  struct Case {
    DType dtype;
    float change;
    double kept;
  };
  for (Case c : {Case{DType::bf16, 0.003f, 0},
                 {DType::bf16, 0.005f, 0x1p-7 / 0.005},
                 {DType::bf16, 0.5f, 1},
                 {DType::f16, 0.0004f, 0},
                 {DType::f16, 0.0006f, 0x1p-10 / 0.0006},
                 {DType::f32, 0.0004f, 1},
                 {DType::f64, 0.0004f, 1},
                 {DType::f32, 1e-9f, 0}}) {
    INFO(name_of(c.dtype), " ", c.change);
    LoraModule module = module_of(1, 2, 3, 2, 1);
    module.a.fill(1);
    module.b.set_values(std::vector<float>{c.change, -c.change, c.change});
    std::vector<float> ones(6, 1.f);
    ones[2] = ones[3] = -1;  // so that no change crosses a power of two downward
    Weight weight = Weight(Tensor::from(module.a.device(), {3, 2}, ones.data()));
    StoredMatrix stored_ones;
    if (c.dtype == DType::f16) {
      for (float one : ones) {
        f16 half = to_f16(one);
        const auto* bytes = reinterpret_cast<const std::byte*>(&half);
        stored_ones.bytes.insert(stored_ones.bytes.end(), bytes, bytes + 2);
      }
      weight = weight_of(module.a.device(), stored_ones.bytes, DType::f16, {3, 2});
    } else {
      weight = weight.to(c.dtype);
    }
    ChangeKept kept;
    merge_weight("m", weight, {{&module, 0.5}}, &kept);
    CHECK(kept.share() == doctest::Approx(c.kept).epsilon(1e-4));
    CHECK(kept.intended == doctest::Approx(6 * double{c.change} * double{c.change}).epsilon(1e-6));
  }
  CHECK(ChangeKept{}.share() == 1);  // nothing was to change

  // Two adapters make one change, and blocks of a large weight add up.
  LoraModule first = module_of(1, 4100, 2050, 0.5, 1), second = module_of(1, 4100, 2050, -0.5, 1, first.a.device());
  StoredMatrix w = stored(DType::f32, 4100 * 2050, 3);
  Weight weight = weight_of(first.a.device(), w.bytes, DType::f32, {2050, 4100});
  ChangeKept one, both;
  merge_weight("m", weight, {{&first, 1}}, &one);
  merge_weight("m", weight, {{&first, 1}, {&second, -2}}, &both);
  CHECK(one.share() == doctest::Approx(1).epsilon(1e-5));
  CHECK(both.share() == doctest::Approx(1).epsilon(1e-5));
  CHECK(both.intended == doctest::Approx(9 * one.intended).epsilon(1e-5));
}
