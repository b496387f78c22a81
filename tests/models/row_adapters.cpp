// Rows of one batch that have adapters of their own.
#include <doctest/doctest.h>

#include <cmath>

#include "engine/backward.h"
#include "tests/device/bf16_device.h"
#include "tests/device/test_device.h"
#include "tests/io/support.h"
#include "tests/models/full_adapter.h"
#include "tests/models/golden_case.h"

using namespace loragrad;
using namespace loragrad::test;

namespace {

using Names = std::vector<std::string>;

const Names names = {"", "a", "b", "a", "mix", "mix", "b", ""};

/// Two adapters in the ways that `names` has: alone, weighted, and several in a row.
struct Adapters {
  explicit Adapters(const CausalLm& model) : a(full_adapter(model, 0, 1)), b(full_adapter(model, 0, 2)) {}
  std::vector<WeightedAdapter> named() const { return {{a, 1, "a"}, {b, -0.5, "b"}, {a, 0.25, "mix"}, {b, 2, "mix"}}; }
  /// Those of one name, for all rows.
  std::vector<WeightedAdapter> of(const std::string& name) const {
    std::vector<WeightedAdapter> all;
    for (WeightedAdapter adapter : named())
      if (std::exchange(adapter.name, std::nullopt) == name) all.push_back(adapter);
    return all;
  }
  Adapter a, b;
};

/// Largest difference of a row's logits between two passes over the batch.
double difference(const Batch& batch, std::size_t row, const std::vector<float>& x, const std::vector<float>& y) {
  std::size_t vocab = x.size() / static_cast<std::size_t>(batch.tokens);
  double worst = 0;
  const RowSpan& span = batch.spans->spans[row];
  for (auto i = static_cast<std::size_t>(span.query) * vocab;
       i < static_cast<std::size_t>(span.query + span.queries) * vocab; ++i)
    worst = std::max(worst, std::abs(double{x[i]} - double{y[i]}));
  return worst;
}

std::vector<float> logits(const CausalLm& model, const Batch& batch, const ActiveAdapters& adapters) {
  return model.logits({.batch = batch, .adapters = adapters, .record = false}).values<float>();
}

}  // namespace

TEST_CASE("a row's adapters give what they give as those of the whole batch, bit for bit on a processor") {
  for (const std::string& folder : golden_folders())
    for (Precision precision : {Precision::f32, Precision::bf16}) {
      CAPTURE(folder);
      CAPTURE(static_cast<int>(precision));
      GoldenCase golden = read_golden_case(folder);
      DevicePtr device = bf16_device(test_device(2));
      auto model = load_model(folder + "/model", device, {.precision = precision});
      Adapters adapters(*model);
      Batch batch = golden.batch(*model, 0, names.size());
      std::vector<float> found = logits(*model, batch, model->activate(adapters.named()).for_rows(names)),
                         base = logits(*model, batch, {});
      double tolerance = device->name() != "cuda" ? 0 : precision == Precision::f32 ? 1e-4 : 0.1;
      for (std::size_t row = 0; row < names.size(); ++row) {
        CAPTURE(names[row]);
        std::vector<float> alone = logits(*model, batch, model->activate(adapters.of(names[row])));
        CHECK(difference(batch, row, found, alone) <= tolerance);
        if (!names[row].empty()) CHECK(difference(batch, row, found, base) > tolerance);
      }
    }
}

TEST_CASE("an adapter without a name counts in every row, beside the row's own; one named \"\" in those without") {
  std::string folder = golden_folders().front();
  GoldenCase golden = read_golden_case(folder);
  auto model = load_model(folder + "/model", test_device(2), {.precision = Precision::f32});
  Adapters adapters(*model);
  Batch batch = golden.batch(*model, 0, 3);
  double tolerance = model->device()->name() != "cuda" ? 0 : 1e-4;
  auto check = [&](const std::vector<WeightedAdapter>& all, std::size_t row, const std::vector<WeightedAdapter>& same) {
    std::vector<float> found = logits(*model, batch, model->activate(all).for_rows({"b", "", "b"}));
    CHECK(difference(batch, row, found, logits(*model, batch, model->activate(same))) <= tolerance);
  };
  check({{adapters.a}, {adapters.b, 0.5, "b"}}, 0, {{adapters.a}, {adapters.b, 0.5}});
  check({{adapters.a}, {adapters.b, 0.5, "b"}}, 1, {{adapters.a}});
  check({{adapters.b, 0.5, "b"}, {adapters.a, 1, ""}}, 0, {{adapters.b, 0.5}});
  check({{adapters.b, 0.5, "b"}, {adapters.a, 1, ""}}, 1, {{adapters.a}});
  // A batch whose rows are not named has none of the named.
  std::vector<WeightedAdapter> all{{adapters.b, 0.5, "b"}, {adapters.a, 1, ""}};
  CHECK(difference(batch, 0, logits(*model, batch, model->activate(all)),
                   logits(*model, batch, model->activate(adapters.a))) <= tolerance);
}

TEST_CASE("the gradients of rows with adapters of their own are those of each adapter's rows alone") {
  for (const std::string& folder : golden_folders())
    for (bool recompute : {false, true}) {
      CAPTURE(folder);
      CAPTURE(recompute);
      GoldenCase golden = read_golden_case(folder);
      auto model = load_model(folder + "/model", test_device(2), {.precision = Precision::f64});
      Adapters adapters(*model);
      for (Adapter* adapter : {&adapters.a, &adapters.b}) adapter->config.lora_dropout = 0.25;
      auto gradients = [&](const Names& chosen, const std::vector<std::size_t>& rows) {
        std::vector<BatchRow> list;
        Names names_of_rows;
        for (std::size_t row : rows) {
          const GoldenCase::Row& golden_row = golden.rows[row % golden.rows.size()];
          list.push_back({golden_row.ids, golden_row.labels, static_cast<std::int32_t>(row), 0});
          names_of_rows.push_back(chosen[row]);
        }
        Batch batch = make_batch(model->device(), list, model->config().vocab_size, 0);
        Pass pass{.batch = batch,
                  .adapters = model->activate(adapters.named()).for_rows(names_of_rows),
                  .training = true,
                  .dropout_key = 77,
                  .recompute = recompute};
        backward(model->loss(pass, 10).loss);
      };
      auto taken = [&](const Adapter& adapter) {
        std::vector<double> all;
        for (auto& [name, tensor] : adapter.tensors()) {
          Tensor leaf = tensor;
          for (double value : leaf.grad().values<double>()) all.push_back(value);
          leaf.clear_grad();
        }
        return all;
      };
      gradients(names, {0, 1, 2, 3, 4, 5, 6, 7});
      std::vector<double> a = taken(adapters.a), b = taken(adapters.b);
      gradients(names, {1, 3});
      gradients(names, {2, 6});
      gradients(names, {4, 5});
      std::vector<double> a_alone = taken(adapters.a), b_alone = taken(adapters.b);
      double worst = 0, most = 0;
      for (std::size_t i = 0; i < a.size(); ++i) {
        worst = std::max({worst, std::abs(a[i] - a_alone[i]), std::abs(b[i] - b_alone[i])});
        most = std::max({most, std::abs(a[i]), std::abs(b[i])});
      }
      CHECK(most > 1e-3);
      CHECK(worst < 1e-10 * most);
    }
}

TEST_CASE("names that no adapter has, and names for other rows than the batch's, are refused") {
  std::string folder = golden_folders().front();
  GoldenCase golden = read_golden_case(folder);
  auto model = load_model(folder + "/model", test_device(1), {.precision = Precision::f32});
  ActiveAdapters active = model->activate(Adapters(*model).named());
  CHECK(message_of<UsageError>([&] {
          active.for_rows({"a", "c"});
        }) == "adapters: expected the name of one of the pass, found \"c\"");
  Batch batch = golden.batch(*model, 0, 2);
  CHECK(message_of<UsageError>([&] { model->loss({.batch = batch, .adapters = active.for_rows({"a"})}, 1); }) ==
        "adapters: expected names for the batch's 2 rows, found 1");
  CHECK_THROWS_AS(model->hidden({.batch = batch, .adapters = active.for_rows({"a", "b", ""})}), UsageError);
}
