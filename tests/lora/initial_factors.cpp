#include "lora/initial_factors.h"

#include <cstring>

#include "engine/backward.h"
#include "lora/files/adapter_file.h"
#include "lora/merge/merge.h"
#include "lora/merge/on_original_base.h"
#include "ops/linear.h"
#include "tests/lora/support.h"
#include "tests/ops/gradcheck.h"

using namespace loragrad;
using namespace loragrad::test;

namespace {

constexpr std::int64_t in = 7, out = 6;

struct Setup {
  Setting s{test_device(2), DType::f32, 3};
  WeightLayout layout;
  Weight w;
  std::vector<LinearShape> all;

  explicit Setup(WeightLayout layout = WeightLayout::out_in)
      : layout(layout),
        w(s.constant(layout == WeightLayout::out_in ? Shape{out, in} : Shape{in, out}, 1), layout),
        all{{.name = "m.q_proj", .in = in, .out = out, .layout = layout, .weight = w}} {}

  Adapter adapter(LoraInit init, std::int64_t r, bool rslora = false, DType dtype = DType::f32) const {
    LoraConfig config{
        .r = r, .lora_alpha = 5, .target_modules = {"q_proj"}, .use_rslora = rslora, .init_lora_weights = init};
    return make_adapter(s.device, config, all, 1, dtype);
  }
  Tensor forward(const Tensor& x, const LoraModule& module, const Dropout& dropout = {}) const {
    LoraMap map{w, {}, {}};
    module.variant->add_to(map, module, {.weight = 1, .dropout = dropout});
    return lora_linears(x, {map}).front();
  }
};

/// B A, row by row.
std::vector<double> product(const Tensor& b, const Tensor& a) {
  std::vector<double> bv = read_values(b), av = read_values(a);
  std::vector<double> result(static_cast<std::size_t>(b.rows() * a.cols()));
  for (std::int64_t i = 0; i < b.rows(); ++i)
    for (std::int64_t j = 0; j < a.cols(); ++j)
      for (std::int64_t k = 0; k < a.rows(); ++k)
        result[static_cast<std::size_t>(i * a.cols() + j)] +=
            bv[static_cast<std::size_t>(i * a.rows() + k)] * av[static_cast<std::size_t>(k * a.cols() + j)];
  return result;
}

void check_near(const std::vector<float>& found, const std::vector<float>& expected, double tolerance) {
  REQUIRE(found.size() == expected.size());
  for (std::size_t i = 0; i < found.size(); ++i)
    CHECK(std::abs(found[i] - expected[i]) <= tolerance * (1 + std::abs(expected[i])));
}

double squares(const std::vector<double>& values) {
  double sum = 0;
  for (double value : values) sum += value * value;
  return sum;
}

}  // namespace

TEST_CASE("every start computes what the base computes, and gives something a gradient") {
  for (WeightLayout layout : {WeightLayout::out_in, WeightLayout::in_out})
    for (LoraInit init : {LoraInit::orthogonal, LoraInit::pissa, LoraInit::olora})
      for (bool rslora : {false, true}) {
        Setup setup(layout);
        CAPTURE(name_of(init));
        Adapter adapter = setup.adapter(init, 4, rslora);
        LoraModule& module = adapter.modules[0];
        Tensor x = setup.s.constant({5, in}, 4);
        Tensor y = setup.forward(x, module);
        check_near(y.values<float>(), linear(x, setup.w, {}).values<float>(), 1e-5);
        backward(y, setup.s.constant({5, out}, 5));
        CHECK(squares(read_values(module.a.grad())) > 0);
        CHECK(squares(read_values(module.b.grad())) > 0);
        CHECK(adapter.parameters() == 4 * (in + out));
        // Drawn, or taken, in f32 whatever the type.
        Adapter wide = setup.adapter(init, 4, rslora, DType::f64);
        CHECK(read_values(wide.modules[0].a) == read_values(module.a));
        CHECK(read_values(wide.modules[0].b) == read_values(module.b));
      }
}

TEST_CASE("pissa takes the largest part of the base, olora the first columns of its Q") {
  for (WeightLayout layout : {WeightLayout::out_in, WeightLayout::in_out}) {
    Setup setup(layout);
    std::vector<double> w = read_values(setup.w.to_tensor(DType::f64));
    auto at = [&](std::int64_t i, std::int64_t j) {
      return w[static_cast<std::size_t>(layout == WeightLayout::out_in ? i * in + j : j * out + i)];
    };
    // All of it, with the full rank.
    LoraModule whole = setup.adapter(LoraInit::pissa, out).modules[0];
    std::vector<double> all = product(whole.b0, whole.a0);
    for (std::int64_t i = 0; i < out; ++i)
      for (std::int64_t j = 0; j < in; ++j)
        CHECK(whole.scale * all[static_cast<std::size_t>(i * in + j)] == doctest::Approx(at(i, j)).epsilon(1e-4));
    // Rank 2: s B0 A0 has the largest two singular values, and A and B share them.
    LoraModule part = setup.adapter(LoraInit::pissa, 2).modules[0];
    double kept = squares(product(part.b0, part.a0)) * part.scale * part.scale, total = squares(w);
    CHECK(kept < total);
    CHECK(kept > 0.5 * total);  // of six values two
    CHECK(squares(read_values(part.a)) == doctest::Approx(squares(read_values(part.b))).epsilon(1e-5));
    // OLoRA: B's columns are orthonormal, and the first column of s-less B0 A0 is the base's.
    LoraModule olora = setup.adapter(LoraInit::olora, 3).modules[0];
    CHECK(squares(read_values(olora.b)) == doctest::Approx(3).epsilon(1e-5));
    std::vector<double> qr = product(olora.b0, olora.a0);
    for (std::int64_t i = 0; i < out; ++i)
      for (std::int64_t j = 0; j < 3; ++j)
        CHECK(qr[static_cast<std::size_t>(i * in + j)] == doctest::Approx(at(i, j)).epsilon(1e-4));
  }
}

TEST_CASE("orthogonal: B A is zero, A and B are not, and each seed and module has its own") {
  Setup setup;
  LoraModule module = setup.adapter(LoraInit::orthogonal, 4).modules[0];
  CHECK(squares(product(module.b, module.a)) < 1e-12);
  // (r / 2) in numbers of deviation 1/10, through rows of an orthogonal matrix.
  CHECK(squares(read_values(module.a)) == doctest::Approx(0.01 * 2 * in).epsilon(0.9));
  CHECK(squares(read_values(module.b)) == doctest::Approx(0.01 * 2 * out).epsilon(0.9));
  CHECK(message_of<UsageError>([&] { setup.adapter(LoraInit::orthogonal, 3); }) ==
        "m.q_proj: r: expected an even rank for orthogonal initial values, found 3");
}

TEST_CASE("a base that is changed: gradients, with dropout of the adapter alone") {
  auto run = [=](const std::vector<Tensor>& v, const Setting& s) {
    Weight w(s.constant({out, in}, 1));
    LoraModule module{.name = "m", .a = v[1], .b = v[2], .scale = 2.5};
    module.a0 = s.parameter({3, in}, 5);
    module.b0 = s.parameter({out, 3}, 6);
    Dropout dropout{0.4, 7, s.integers({4, 2}, {0, 0, 0, 1, 0, 2, 1, 0})};
    LoraMap map{w, {}, {}};
    module.variant->add_to(map, module, {.weight = -0.75, .dropout = dropout});
    return lora_linears(s.compute(v[0]), {map}).front();
  };
  OpCase op_case{.name = "changed base",
                 .inputs = {{4, in}, {3, in}, {out, 3}},
                 .run = run,
                 .f32_tolerance = 1e-5,
                 .bf16_tolerance = 6e-2};
  CHECK(gradient_failure(op_case) == "");
  CHECK(precision_failure(op_case, DType::f32) == "");
  CHECK(precision_failure(op_case, DType::bf16) == "");
}

TEST_CASE("an adapter of a changed base is saved for the base itself, with twice the rank") {
  for (LoraInit init : {LoraInit::pissa, LoraInit::olora})
    for (bool rslora : {false, true}) {
      Setup setup;
      Adapter adapter = setup.adapter(init, 2, rslora);
      fill_normal(adapter.modules[0].a, 4);
      fill_normal(adapter.modules[0].b, 5);
      Tensor x = setup.s.constant({5, in}, 4);
      std::vector<float> expected = setup.forward(x, adapter.modules[0]).values<float>();
      TempFolder folder;
      save_adapter(adapter, folder.path());
      Adapter loaded = load_adapter(folder.path(), setup.s.device, setup.all, false);
      CHECK(loaded.config.r == 4);
      CHECK(loaded.config.lora_alpha == doctest::Approx(rslora ? 5 * std::sqrt(2.0) : 10));
      CHECK(loaded.config.init_lora_weights == LoraInit::standard);
      CHECK(loaded.modules[0].scale == doctest::Approx(adapter.modules[0].scale));
      check_near(setup.forward(x, loaded.modules[0]).values<float>(), expected, 1e-5);
      // And merged, from either.
      for (const LoraModule* module : {&adapter.modules[0], &loaded.modules[0]}) {
        std::vector<std::byte> bytes = merge_weight("m", setup.w, {{.module = module}});
        std::vector<float> merged(bytes.size() / sizeof(float));
        std::memcpy(merged.data(), bytes.data(), bytes.size());
        Weight w(Tensor::from(setup.s.device, {out, in}, std::move(merged)));
        check_near(linear(x, w, {}).values<float>(), expected, 1e-5);
      }
    }
  // Ranks and alphas of single modules too.
  Setup setup;
  LoraConfig config{.r = 2, .lora_alpha = 5, .target_modules = {"q_proj"}, .init_lora_weights = LoraInit::olora};
  config.rank_pattern = {{"q_proj", 3}};
  config.alpha_pattern = {{"q_proj", 7}};
  Adapter saved = on_original_base(make_adapter(setup.s.device, config, setup.all, 1));
  CHECK(saved.config.rank_pattern.front().second == 6);
  CHECK(saved.config.alpha_pattern.front().second == 14);
  CHECK(saved.modules[0].a.rows() == 6);
}

TEST_CASE("what a start from the base cannot do is refused") {
  Setup setup;
  CHECK(message_of<UsageError>([&] { setup.adapter(LoraInit::pissa, 7); }) ==
        "m.q_proj: r: expected at most 6 for initial values by pissa, found 7");
  LoraConfig config{.r = 2, .lora_alpha = -5, .target_modules = {"q_proj"}, .init_lora_weights = LoraInit::pissa};
  CHECK(message_of<UsageError>([&] { make_adapter(setup.s.device, config, setup.all, 1); }) ==
        "m.q_proj: lora_alpha: expected a positive number for initial values by pissa");
  CHECK(message_of<UsageError>([&] {
          make_adapter(setup.s.device, config, {{"m.q_proj", in, out}}, 1);
        }) == "m.q_proj: expected the base's weight, which the adapter starts from");
}
