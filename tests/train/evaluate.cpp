#include "train/evaluate.h"

#include <cmath>
#include <limits>
#include <map>

#include "ops/timed_device.h"
#include "tests/train/support.h"

using namespace loragrad;
using namespace loragrad::test;

TEST_CASE("evaluation does not depend on how rows are batched") {
  TinyModel folder;
  std::unique_ptr<CausalLm> model = load_model(folder.path(), test_device(1));
  Adapter adapter = tiny_adapter(*model, {"q_proj", "v_proj"}, 0.5, false);
  Dataset data = tiny_data(7);
  double base = evaluate(*model, data).loss;
  ActiveAdapters adapters = model->activate(adapter);
  EvalReport report = evaluate(*model, data, {.adapters = adapters});
  CHECK(report.rows == 7);
  CHECK(report.tokens == data.tokens);
  CHECK(report.supervised_tokens == data.supervised_tokens);
  CHECK(report.loss != base);
  CHECK(report.perplexity == std::exp(report.loss));
  CHECK(report.seconds > 0);
  // No dropout: the same again. One row at a time: the same to rounding.
  CHECK(evaluate(*model, data, {.adapters = adapters}).loss == report.loss);
  for (std::int64_t limit : {1, 13, 25})
    CHECK(evaluate(*model, data, {.tokens_per_batch = limit, .adapters = adapters}).loss ==
          doctest::Approx(report.loss).epsilon(1e-6));
}

TEST_CASE("rows are evaluated with the adapters that they chose") {
  TinyModel folder;
  std::unique_ptr<CausalLm> model = load_model(folder.path(), test_device(1));
  Adapter one = tiny_adapter(*model, {"q_proj", "v_proj"}, 0, false), other = tiny_adapter(*model, {"_proj"}, 0, false);
  ActiveAdapters adapters = model->activate({{one, 1, "one"}, {other, -2, "other"}});
  Dataset data = tiny_data(9);
  std::vector<std::string> names{"", "one", "other"};
  for (std::size_t row = 0; row < data.rows.size(); ++row) data.rows[row].adapter = names[row % 3];
  double sum = 0;
  for (const std::string& name : names) {
    Dataset part;
    for (Row row : data.rows)
      if (std::exchange(row.adapter, "") == name) part.rows.push_back(row);
    std::vector<WeightedAdapter> own;
    if (name == "one") own = {{one}};
    if (name == "other") own = {{other, -2}};
    EvalReport report = evaluate(*model, part, {.adapters = model->activate(own)});
    sum += report.loss * static_cast<double>(report.supervised_tokens);
  }
  for (std::int64_t tokens : {1, 30, 2048})
    CHECK(evaluate(*model, data, {.tokens_per_batch = tokens, .adapters = adapters}).loss ==
          doctest::Approx(sum / static_cast<double>(data.supervised_tokens)).epsilon(1e-6));
  CHECK_THROWS_AS(evaluate(*model, data, {.adapters = model->activate(one)}), UsageError);
  for (Row& row : data.rows) row.adapter = "";
  CHECK(evaluate(*model, data, {.adapters = adapters}).loss !=
        doctest::Approx(sum / static_cast<double>(data.supervised_tokens)).epsilon(1e-4));
}

TEST_CASE("logits come row by row and agree with the loss") {
  TinyModel folder;
  std::unique_ptr<CausalLm> model = load_model(folder.path(), test_device(1));
  Dataset data = tiny_data(5);
  std::int64_t next = 0;
  double sum = 0;
  EvalOptions options;
  options.logits = [&](std::int64_t row, const Tensor& logits) {
    CHECK(row == next++);
    const Row& r = data.rows[static_cast<std::size_t>(row)];
    REQUIRE(logits.shape() == Shape{static_cast<std::int64_t>(r.input_ids.size()), 32});
    std::vector<float> z = logits.values<float>();
    for (std::size_t t = 0; t + 1 < r.labels.size(); ++t) {
      if (r.labels[t + 1] == no_label) continue;
      double total = 0;
      for (std::size_t v = 0; v < 32; ++v) total += std::exp(static_cast<double>(z[t * 32 + v]));
      sum += std::log(total) - z[t * 32 + static_cast<std::size_t>(r.labels[t + 1])];
    }
  };
  EvalReport report = evaluate(*model, data, options);
  CHECK(next == 5);
  CHECK(report.loss == doctest::Approx(sum / static_cast<double>(data.supervised_tokens)).epsilon(1e-6));
}

TEST_CASE("logits cost their product, and neither another pass nor a bit of the loss") {
  TinyModel folder;
  Dataset data = tiny_data(5);
  auto run = [&](const EvalOptions& options) {
    std::map<std::string, int> calls;
    std::unique_ptr<CausalLm> model = load_model(
        folder.path(), timed_device(test_device(1), [&](const KernelCall& call) { ++calls[std::string(call.name)]; }));
    double loss = evaluate(*model, data, options).loss;
    return std::pair(loss, calls);
  };
  auto [loss, calls] = run({.tokens_per_batch = 1});
  auto [loss_with_logits, calls_with_logits] = run({.logits = [](std::int64_t, const Tensor&) {}});
  CHECK(loss_with_logits == loss);
  CHECK(calls["attention"] == 2 * 5);
  calls["gemm"] += 5;
  CHECK(calls_with_logits == calls);
}

TEST_CASE("a model in training is evaluated without a tape") {
  TinyModel folder;
  DevicePtr device = test_device(1);
  std::unique_ptr<CausalLm> model =
      load_model(folder.path(), device, {.precision = Precision::automatic, .trainable = true});
  Dataset data = tiny_data(40);
  auto peak = [&](const CausalLm& m) {
    m.device()->memory().reset_peak();
    std::size_t before = m.device()->memory().live();
    evaluate(m, data);
    return m.device()->memory().peak() - before;
  };
  std::size_t trained = peak(*model);
  std::unique_ptr<CausalLm> frozen = load_model(folder.path(), test_device(1));
  CHECK(trained == peak(*frozen));
  for (const auto& [name, tensor] : model->trainable()) {
    CHECK(tensor.needs_grad());
    CHECK_FALSE(tensor.grad().defined());
  }
}

TEST_CASE("data that cannot be evaluated") {
  TinyModel folder;
  std::unique_ptr<CausalLm> model = load_model(folder.path(), test_device(1));
  Dataset data = tiny_data(2);
  for (Row& row : data.rows)
    for (TokenId& label : row.labels) label = no_label;
  CHECK(message_of<InputError>([&] { evaluate(*model, data); }) ==
        "tiny.jsonl: expected supervised tokens, found none");
  Dataset broken = tiny_data(2);
  Adapter adapter = tiny_adapter(*model, {"down_proj"}, 0, false);
  adapter.modules[0].a.fill(std::numeric_limits<double>::quiet_NaN());
  EvalReport report = evaluate(*model, broken, {.adapters = model->activate(adapter)});
  CHECK(report.not_finite == "tiny.jsonl: rows 1 to 2: expected a finite loss, found nan");
  CHECK(std::isnan(report.loss));
  CHECK_FALSE(std::signbit(report.loss));
  CHECK(report.tokens == broken.tokens);
  CHECK(report.supervised_tokens == broken.supervised_tokens);
  // The first rows that are not, and no others.
  CHECK(evaluate(*model, broken).not_finite.empty());
}

TEST_CASE("an evaluation can be stopped") {
  TinyModel folder;
  std::unique_ptr<CausalLm> model = load_model(folder.path(), test_device(1));
  EvalReport report = evaluate(*model, tiny_data(5), {.tokens_per_batch = 1, .stop = [] { return true; }});
  CHECK(report.rows == 1);
}
