#include "train/trainer.h"

#include <cmath>
#include <limits>

#include "tests/train/support.h"

using namespace loragrad;
using namespace loragrad::test;

namespace {

const std::vector<std::string> every_linear{"_proj"};

struct Outcome {
  std::vector<float> trained;
  std::vector<StepReport> steps;
  TrainResult result;
};

Outcome run(const TinyModel& folder, const Dataset& data, const TrainOptions& options, int threads = 1,
            double dropout = 0.1) {
  std::unique_ptr<CausalLm> model = load_model(folder.path(), test_device(threads));
  Adapter adapter = tiny_adapter(*model, every_linear, dropout);
  Outcome outcome;
  TrainObserver observer;
  observer.on_step = [&](const StepReport& report) { outcome.steps.push_back(report); };
  outcome.result = train(*model, &adapter, data, options, nullptr, observer);
  outcome.trained = values_of(adapter);
  return outcome;
}

double distance(const std::vector<float>& a, const std::vector<float>& b) {
  REQUIRE(a.size() == b.size());
  double difference = 0, norm = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    difference += (a[i] - b[i]) * (a[i] - b[i]);
    norm += a[i] * a[i];
  }
  return std::sqrt(difference / norm);
}

void check_same_but_for_rounding(const Outcome& parts, const Outcome& whole, std::size_t steps) {
  REQUIRE(parts.steps.size() == steps);
  REQUIRE(whole.steps.size() == steps);
  for (std::size_t i = 0; i < steps; ++i) {
    CHECK(parts.steps[i].loss == doctest::Approx(whole.steps[i].loss).epsilon(1e-6));
    CHECK(parts.steps[i].grad_norm == doctest::Approx(whole.steps[i].grad_norm).epsilon(1e-5));
    CHECK(parts.steps[i].tokens == whole.steps[i].tokens);
    CHECK(parts.steps[i].supervised_tokens == whole.steps[i].supervised_tokens);
  }
  CHECK(distance(parts.trained, whole.trained) < 1e-5);
}

}  // namespace

TEST_CASE("accumulated gradients are those of the large batch, dropout included") {
  TinyModel folder;
  Dataset data = tiny_data(13);
  TrainOptions options{.lr = 1e-2, .batch_size = 6, .grad_accum = 1, .steps = 5};
  Outcome whole = run(folder, data, options);
  for (auto [size, accum] : {std::pair{3, 2}, {2, 3}, {1, 6}}) {
    options.batch_size = size;
    options.grad_accum = accum;
    check_same_but_for_rounding(run(folder, data, options), whole, 5);
  }
}

TEST_CASE("smaller micro-batches are another way to take the same step") {
  TinyModel folder;
  Dataset data = tiny_data(13);
  TrainOptions options{.lr = 1e-2, .batch_size = 6, .grad_accum = 2, .steps = 4};
  Outcome whole = run(folder, data, options);
  for (std::int64_t rows : {1, 2, 4, 5}) {
    options.micro_batch = rows;
    check_same_but_for_rounding(run(folder, data, options), whole, 4);
  }
}

TEST_CASE("micro-batches by tokens are another way to take the same step, dropout included") {
  TinyModel folder;
  Dataset data = tiny_data(13);
  TrainOptions options{.lr = 1e-2, .batch_size = 2, .grad_accum = 6, .steps = 4};
  Outcome whole = run(folder, data, options, 1, 0.3);
  for (std::int64_t tokens : {1, 9, 20, 1000}) {
    options.max_tokens_per_batch = tokens;
    check_same_but_for_rounding(run(folder, data, options, 1, 0.3), whole, 4);
  }
}

TEST_CASE("a run with checkpointed blocks is the same run, bit for bit") {
  TinyModel folder;
  Dataset data = tiny_data(9);
  TrainOptions options{.lr = 1e-2, .batch_size = 2, .grad_accum = 2, .steps = 4};
  Outcome direct = run(folder, data, options, 1, 0.3);
  auto full = [&] {
    auto model = load_model(folder.path(), test_device(1), {.precision = Precision::f32, .trainable = true});
    train(*model, nullptr, data, options);
    std::vector<std::vector<float>> values;
    for (const auto& [name, tensor] : model->trainable()) values.push_back(tensor.values<float>());
    return values;
  };
  auto direct_full = full();
  options.checkpoint_activations = true;
  Outcome checkpointed = run(folder, data, options, 1, 0.3);
  CHECK(checkpointed.trained == direct.trained);
  for (std::size_t i = 0; i < direct.steps.size(); ++i) CHECK(checkpointed.steps[i].loss == direct.steps[i].loss);
  CHECK(full() == direct_full);
}

TEST_CASE("same seed, same bits, any number of threads") {
  TinyModel folder;
  Dataset data = tiny_data(9);
  TrainOptions options{
      .lr = 1e-2, .schedule = ScheduleKind::cosine, .batch_size = 2, .grad_accum = 2, .epochs = 2, .seed = 4};
  Outcome one = run(folder, data, options, 1), two = run(folder, data, options, 2);
  CHECK(one.trained == two.trained);
  for (std::size_t i = 0; i < one.steps.size(); ++i) CHECK(one.steps[i].loss == two.steps[i].loss);
  options.seed = 5;
  CHECK(run(folder, data, options, 1).trained != one.trained);
}

TEST_CASE("epochs end the stream, steps go on around it") {
  TinyModel folder;
  Dataset data = tiny_data(5);
  TrainOptions options{.batch_size = 2, .epochs = 3, .shuffle = false};
  Outcome epochs = run(folder, data, options);
  CHECK(options.total_steps(5) == 8);
  REQUIRE(epochs.steps.size() == 8);
  CHECK(epochs.result.steps == 8);
  CHECK(epochs.result.tokens == 3 * data.tokens);
  CHECK(epochs.result.supervised_tokens == 3 * data.supervised_tokens);
  CHECK(epochs.steps.back().tokens == static_cast<std::int64_t>(data.rows.back().input_ids.size()));
  options.steps = 9;
  Outcome steps = run(folder, data, options);
  REQUIRE(steps.steps.size() == 9);
  CHECK(steps.steps[2].tokens ==
        static_cast<std::int64_t>(data.rows[4].input_ids.size() + data.rows[0].input_ids.size()));
}

TEST_CASE("what a step reports") {
  TinyModel folder;
  Dataset data = tiny_data(4);
  TrainOptions options{.lr = 4e-3, .warmup_steps = 2, .batch_size = 4, .steps = 6, .shuffle = false};
  Outcome outcome = run(folder, data, options, 1, 0);
  std::vector<double> factors{0, 0.5, 1, 0.75, 0.5, 0.25};
  for (std::size_t i = 0; i < 6; ++i) {
    const StepReport& r = outcome.steps[i];
    CHECK(r.step == static_cast<std::int64_t>(i) + 1);
    CHECK(r.lr == doctest::Approx(4e-3 * factors[i]).epsilon(1e-14));
    CHECK(r.tokens == data.tokens);
    CHECK(r.supervised_tokens == data.supervised_tokens);
    CHECK(r.grad_norm > 0);
    CHECK(r.seconds > 0);
    CHECK(r.tokens_per_s == doctest::Approx(static_cast<double>(r.tokens) / r.seconds));
    CHECK(r.peak_bytes > 1'000'000);
  }
  // The first step has learning rate 0 and B is 0: the first two losses are the base model's.
  CHECK(outcome.steps[0].loss == outcome.steps[1].loss);
  CHECK(outcome.steps[0].loss ==
        doctest::Approx(evaluate(*load_model(folder.path(), test_device(1)), data).loss).epsilon(1e-6));
  CHECK(outcome.steps[5].loss < outcome.steps[1].loss);
  CHECK(outcome.result.loss == outcome.steps[5].loss);
}

TEST_CASE("a few rows are learned by heart") {
  TinyModel folder;
  Outcome outcome =
      run(folder, tiny_data(3), {.lr = 2e-2, .schedule = ScheduleKind::constant, .batch_size = 3, .steps = 80}, 2, 0);
  CHECK(outcome.steps.front().loss > 2);
  CHECK(outcome.steps.back().loss < 0.3 * outcome.steps.front().loss);
}

TEST_CASE("all parameters of a model can be trained") {
  TinyModel folder;
  std::unique_ptr<CausalLm> model =
      load_model(folder.path(), test_device(1), {.precision = Precision::automatic, .trainable = true});
  Dataset data = tiny_data(3);
  double before = evaluate(*model, data).loss;
  TrainResult result = train(*model, nullptr, data, {.lr = 1e-2, .batch_size = 3, .steps = 20});
  CHECK(evaluate(*model, data).loss < 0.7 * before);
  CHECK(result.steps == 20);
  std::unique_ptr<CausalLm> frozen = load_model(folder.path(), test_device(1));
  CHECK(contains(message_of<UsageError>([&] { train(*frozen, nullptr, data, {}); }), "found neither"));
}

TEST_CASE("a step without supervised tokens changes nothing but is counted") {
  TinyModel folder;
  Dataset data = tiny_data(2);
  for (TokenId& label : data.rows[0].labels) label = no_label;
  Outcome with =
      run(folder, data, {.lr = 1e-2, .schedule = ScheduleKind::constant, .batch_size = 1, .steps = 4, .shuffle = false},
          1, 0);
  CHECK_FALSE(with.steps[0].updated);
  CHECK(with.steps[0].loss == 0);
  CHECK(with.steps[0].supervised_tokens == 0);
  CHECK(with.steps[0].tokens > 0);
  CHECK(with.steps[1].updated);
  data.rows.erase(data.rows.begin());
  Outcome without =
      run(folder, data, {.lr = 1e-2, .schedule = ScheduleKind::constant, .batch_size = 1, .steps = 2, .shuffle = false},
          1, 0);
  CHECK(with.trained == without.trained);
}

TEST_CASE("a run without a learning rate is refused unless --lr 0 asks for it, and says what learnt nothing") {
  TinyModel folder;
  std::unique_ptr<CausalLm> model = load_model(folder.path(), test_device(1));
  Adapter adapter = tiny_adapter(*model, query_value);
  Dataset data = tiny_data(4);
  CHECK(message_of<UsageError>([&] { train(*model, &adapter, data, {.warmup_steps = 1, .batch_size = 4}); }) ==
        "warmup-steps: expected fewer than the run's steps, 1, found 1: every step would have learning rate zero "
        "(--lr 0 asks for that)");
  CHECK(train(*model, &adapter, data, {.lr = 0, .warmup_steps = 1, .batch_size = 4}).learning_steps == 0);
  CHECK(train(*model, &adapter, data, {.lr = 0, .steps = 3}).learning_steps == 0);
  CHECK(train(*model, &adapter, data, {.warmup_steps = 1, .steps = 3}).learning_steps == 2);
  TrainOptions options{.lr = 2, .warmup_steps = 8, .steps = 5};
  CHECK(options.highest_lr(4) == 1);
  options.warmup_steps = 4;
  CHECK(options.highest_lr(4) == 2);
}

TEST_CASE("an evaluation that is not finite ends no run") {
  std::string config = tiny_llama;
  config.replace(config.find("\"tie_word_embeddings\": true"), 27, "\"tie_word_embeddings\": false");
  TinyModel folder(config);
  std::unique_ptr<CausalLm> model =
      load_model(folder.path(), test_device(1), {.precision = Precision::automatic, .trainable = true});
  Dataset data = tiny_data(4), broken = tiny_data(2);
  for (Dataset* set : {&data, &broken})
    for (Row& row : set->rows)
      for (TokenId& id : row.input_ids) id = set == &data ? 5 : 7;
  for (auto& [name, tensor] : model->trainable())
    if (name == "model.embed_tokens.weight") {
      change_values<float>(tensor, [](auto& values) { values[7 * 16] = std::nanf(""); });
    }
  std::vector<std::string> found;
  TrainObserver observer;
  observer.on_eval = [&](std::int64_t, const EvalReport& report) { found.push_back(report.not_finite); };
  TrainResult result = train(*model, nullptr, data, {.lr = 1e-4, .steps = 2, .eval_every = 1}, &broken, observer);
  CHECK(result.steps == 2);
  CHECK(found.size() == 2);
  CHECK(contains(found.at(0), "rows 1 to 2: expected a finite loss, found "));
}

TEST_CASE("a run can be stopped, and evaluates as it goes") {
  TinyModel folder;
  std::unique_ptr<CausalLm> model = load_model(folder.path(), test_device(1));
  Adapter adapter = tiny_adapter(*model, query_value);
  Dataset data = tiny_data(4), valid = tiny_data(3, 77);
  std::vector<std::int64_t> evaluated;
  std::vector<double> losses;
  std::int64_t steps = 0, stop_at = 100;
  TrainObserver observer;
  observer.on_step = [&](const StepReport&) { ++steps; };
  observer.on_eval = [&](std::int64_t step, const EvalReport& report) {
    evaluated.push_back(step);
    losses.push_back(report.loss);
  };
  observer.stop = [&] { return steps == stop_at; };
  TrainOptions options{.lr = 1e-2, .batch_size = 2, .steps = 5, .eval_every = 2};
  TrainResult result = train(*model, &adapter, data, options, &valid, observer);
  CHECK_FALSE(result.stopped);
  CHECK(evaluated == std::vector<std::int64_t>{2, 4, 5});
  CHECK(losses[0] != losses[1]);
  CHECK(result.eval->loss == losses[2]);
  CHECK(result.eval->loss == evaluate(*model, valid, {.adapters = model->activate(adapter)}).loss);
  for (const auto& [name, tensor] : adapter.tensors()) CHECK(tensor.needs_grad());

  steps = 0;
  stop_at = 3;
  result = train(*model, &adapter, data, options, &valid, observer);
  CHECK(result.stopped);
  CHECK(result.steps == 3);
  CHECK(evaluated.size() == 4);
}

TEST_CASE("rows of the evaluation data that chose an adapter have it in place of the one in training") {
  TinyModel folder;
  std::unique_ptr<CausalLm> model = load_model(folder.path(), test_device(1));
  Adapter adapter = tiny_adapter(*model, {"q_proj"}), fixed = tiny_adapter(*model, {"v_proj"}, 0, false);
  Dataset valid = tiny_data(6, 77);
  auto choose = [&](const std::vector<std::size_t>& rows) {
    for (std::size_t row : rows) valid.rows[row].adapter = "fixed";
  };
  std::vector<double> losses;
  TrainObserver observer;
  observer.on_eval = [&](std::int64_t, const EvalReport& report) { losses.push_back(report.loss); };
  auto run = [&] {
    losses.clear();
    train(*model, &adapter, tiny_data(4), {.lr = 1e-2, .batch_size = 2, .steps = 2, .eval_every = 1}, &valid, observer,
          {{fixed, 0.5, "fixed"}});
  };
  choose({1, 4});
  run();
  CHECK(losses[0] != losses[1]);
  CHECK(losses[1] ==
        evaluate(*model, valid, {.adapters = model->activate({{fixed, 0.5, "fixed"}, {adapter, 1, ""}})}).loss);
  choose({0, 2, 3, 5});
  run();
  CHECK(losses[0] == losses[1]);
  for (Row& row : valid.rows) row.adapter = "";
  CHECK(losses[1] == evaluate(*model, valid, {.adapters = model->activate(fixed, 0.5)}).loss);
}

TEST_CASE("a step waits once for its device, but for the one that is proved") {
  TinyModel folder;
  DevicePtr device = test_device(1);
  std::unique_ptr<CausalLm> model = load_model(folder.path(), device);
  Adapter adapter = tiny_adapter(*model, query_value);
  std::vector<std::uint64_t> waits;
  TrainObserver observer;
  observer.on_step = [&](const StepReport&) { waits.push_back(device->waits()); };
  train(*model, &adapter, tiny_data(6), {.batch_size = 2, .grad_accum = 2, .steps = 4}, nullptr, observer);
  REQUIRE(waits.size() == 4);
  for (std::size_t step = 1; step < 4; ++step) CHECK(waits[step] - waits[step - 1] == 1);
}

TEST_CASE("an evaluation in between keeps nothing for a backward pass") {
  TinyModel folder;
  DevicePtr device = test_device(1);
  std::unique_ptr<CausalLm> model = load_model(folder.path(), device);
  Adapter adapter = tiny_adapter(*model, query_value);
  Dataset valid = tiny_data(40);
  std::size_t during = 0;
  TrainObserver observer;
  observer.on_step = [&](const StepReport&) { device->memory().reset_peak(); };
  observer.on_eval = [&](std::int64_t, const EvalReport&) {
    during = device->memory().peak() - device->memory().live();
  };
  train(*model, &adapter, tiny_data(4), {.steps = 1}, &valid, observer);
  for (const auto& [name, tensor] : adapter.tensors()) tensor.impl()->trainable = false;
  device->memory().reset_peak();
  evaluate(*model, valid, {.adapters = model->activate(adapter)});
  CHECK(during == device->memory().peak() - device->memory().live());
}
