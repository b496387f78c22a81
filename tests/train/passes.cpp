// Adapters belong to a pass: what one loaded model gives to each of several.
#include <cmath>

#include "models/generate/generate.h"
#include "optim/adamw.h"
#include "tests/train/support.h"
#include "train/step.h"

using namespace loragrad;
using namespace loragrad::test;

namespace {

/// An adapter in training, one step at a time.
class Training {
 public:
  Training(const CausalLm& model, const TargetModules& targets, std::uint64_t seed)
      : model_(model), adapter_(make_adapter(model.device(), lora_config(targets, 0.2), model.linear_shapes(), seed)) {
    for (auto& [name, tensor] : adapter_.tensors()) trained_.push_back(tensor);
    optimizer_.emplace(trained_, AdamWConfig{});
  }
  void step(const Dataset& data, std::uint64_t key) {
    StepRows rows;
    for (const Row& row : data.rows) rows.push_back(&row);
    StepLoss loss = accumulate_gradients(model_, rows, {.rows_at_once = 2, .dropout_key = key, .adapters = active()});
    losses.push_back(loss.sum.item());
    optimizer_->step(1e-2);
    for (Tensor& tensor : trained_) tensor.clear_grad();
  }
  ActiveAdapters active() const { return model_.activate(adapter_); }
  std::vector<float> values() const { return values_of(adapter_); }
  std::vector<double> losses;

 private:
  const CausalLm& model_;
  Adapter adapter_;
  std::vector<Tensor> trained_;
  std::optional<AdamW> optimizer_;
};

Batch batch_of_all(const CausalLm& model, const Dataset& data) {
  StepRows rows;
  for (const Row& row : data.rows) rows.push_back(&row);
  return batch_of(model, rows, 0, rows.size());
}

std::vector<float> logits(const CausalLm& model, const Batch& batch, const ActiveAdapters& adapters) {
  return model.logits({.batch = batch, .adapters = adapters, .record = false}).values<float>();
}

}  // namespace

TEST_CASE("two adapters trained in turn over one model are the two trained alone, bit for bit") {
  TinyModel folder;
  std::unique_ptr<CausalLm> model = load_model(folder.path(), test_device(2));
  Dataset one = tiny_data(4), other = tiny_data(3, 77);
  auto alone = [&](const TargetModules& targets, std::uint64_t seed, const Dataset& data) {
    std::unique_ptr<CausalLm> own = load_model(folder.path(), test_device(2));
    Training training(*own, targets, seed);
    for (std::uint64_t step = 0; step < 4; ++step) training.step(data, seed + step);
    return std::pair(training.values(), training.losses);
  };
  Training a(*model, {"q_proj", "v_proj"}, 1), b(*model, {"v_proj", "down_proj"}, 2);
  for (std::uint64_t step = 0; step < 4; ++step) {
    a.step(one, 1 + step);
    b.step(other, 2 + step);
    generate(*model, step % 2 ? a.active() : b.active(), std::vector<TokenId>{3, 4}, {.max_tokens = 2});
  }
  CHECK(std::pair(a.values(), a.losses) == alone({"q_proj", "v_proj"}, 1, one));
  CHECK(std::pair(b.values(), b.losses) == alone({"v_proj", "down_proj"}, 2, other));
}

TEST_CASE("an adapter may be active in some rows of a batch") {
  TinyModel folder;
  std::unique_ptr<CausalLm> model = load_model(folder.path(), test_device(1));
  Adapter adapter = tiny_adapter(*model, {"_proj"}, 0, false), other = tiny_adapter(*model, {"v_proj"}, 0, false);
  Batch batch = batch_of_all(*model, tiny_data(4));
  ActiveAdapters all = model->activate(adapter),
                 some = model->activate({{adapter, 1, "a"}, {other, -0.5, "b"}}).for_rows({"", "a", "a", "b"});
  std::vector<float> base = logits(*model, batch, {}), with = logits(*model, batch, all),
                     with_other = logits(*model, batch, model->activate(other, -0.5)),
                     found = logits(*model, batch, some);
  std::size_t vocab = found.size() / static_cast<std::size_t>(batch.tokens), row = 0;
  for (std::size_t token = 0; token < static_cast<std::size_t>(batch.tokens); ++token) {
    const RowSpan* span = &batch.spans->spans[row];
    while (span->query + span->queries <= static_cast<std::int64_t>(token)) span = &batch.spans->spans[++row];
    const std::vector<float>& wanted = row == 0 ? base : row < 3 ? with : with_other;
    double worst = 0;
    for (std::size_t i = token * vocab; i < (token + 1) * vocab; ++i)
      worst = std::max(worst, std::abs(double{found[i]} - double{wanted[i]}));
    CHECK(worst < 1e-5);
  }
  CHECK(base != with);
}

TEST_CASE("a pass that is not recorded has no past, and leaves what is trained as it was") {
  TinyModel folder;
  std::unique_ptr<CausalLm> model = load_model(folder.path(), test_device(1));
  Adapter adapter = tiny_adapter(*model, {"q_proj"});
  Pass pass{.batch = batch_of_all(*model, tiny_data(2)), .adapters = model->activate(adapter), .record = false};
  CHECK(!model->loss(pass, 1).loss.needs_grad());
  CHECK(!model->hidden(pass).needs_grad());
  pass.record = true;
  CHECK(model->loss(pass, 1).loss.needs_grad());
}

TEST_CASE("an adapter for another model is refused") {
  TinyModel folder;
  std::unique_ptr<CausalLm> model = load_model(folder.path(), test_device(1));
  Adapter adapter = tiny_adapter(*model, {"q_proj"});
  adapter.modules[0].name = "model.layers.9.self_attn.q_proj";
  CHECK(message_of<InputError>([&] { model->activate(adapter); }) ==
        "adapter: the model has no linear layer model.layers.9.self_attn.q_proj");
}
