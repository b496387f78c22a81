#include "lora/trained_rows.h"

#include <limits>

#include "io/json.h"
#include "lora/files/adapter_file.h"
#include "lora/files/adapter_outline.h"
#include "lora/merge/one_scale.h"
#include "tests/lora/support.h"

using namespace loragrad;
using namespace loragrad::test;

namespace {

Adapter with_rows(const DevicePtr& device, std::vector<TrainableTokens> tokens) {
  LoraConfig config{.r = 2, .lora_alpha = 5, .target_modules = {"q_proj"}};
  config.trainable_token_indices = tokens;
  Adapter adapter = make_adapter(device, config, {{"model.q_proj", 3, 4}}, 1);
  for (const TrainableTokens& entry : tokens) {
    Tensor values = Tensor::empty(device, {static_cast<std::int64_t>(entry.ids.size()), 3}, DType::f32);
    fill_normal(values, 7);
    adapter.rows_of_base.push_back({entry.module.empty() ? "model.embed_tokens" : entry.module, entry.ids, values});
  }
  return adapter;
}

const std::vector<LinearShape> all{
    {.name = "model.embed_tokens", .in = 9, .out = 3, .layout = WeightLayout::in_out, .is_embedding = true},
    {.name = "model.q_proj", .in = 3, .out = 4}};

}  // namespace

TEST_CASE("trained rows there and back: a list is the embedding's, an object has modules' names") {
  DevicePtr device = test_device(1);
  for (std::vector<TrainableTokens> tokens :
       {std::vector<TrainableTokens>{{"", {5, 2, 7}}}, {{"lm_head", {1}}, {"model.embed_tokens", {4, 3}}}}) {
    Adapter adapter = with_rows(device, tokens);
    CHECK(adapter.parameters() == 2 * (3 + 4) + 9);
    TempFolder folder;
    save_adapter(adapter, folder.path());
    for (const std::vector<LinearShape>& maps : {all, adapter_outline(folder.path())}) {
      std::vector<std::string> warnings;
      Adapter loaded = load_adapter(folder.path(), device, maps, true, &warnings);
      CHECK(warnings.empty());
      REQUIRE(loaded.rows_of_base.size() == tokens.size());
      for (std::size_t i = 0; i < tokens.size(); ++i) {
        CHECK(loaded.rows_of_base[i].module == adapter.rows_of_base[i].module);
        CHECK(loaded.rows_of_base[i].ids == tokens[i].ids);
        CHECK(loaded.rows_of_base[i].values.values<float>() == adapter.rows_of_base[i].values.values<float>());
        CHECK(loaded.rows_of_base[i].values.needs_grad());
      }
      CHECK(contains(message_of<InputError>([&] { with_one_scale(loaded); }), "trainable_token_indices"));
    }
    StoredTensors file = open_safetensors(folder / "adapter_model.safetensors");
    CHECK(file.find("base_model.model.model.embed_tokens.token_adapter.trainable_tokens_delta") != nullptr);
    // The state dict of PEFT's model has the adapter's name in it.
    std::vector<TensorToWrite> renamed;
    for (const StoredTensor& t : file.tensors)
      renamed.push_back({t.name + (t.name.ends_with("_delta") ? ".default" : ""), t.dtype(), t.shape, t.bytes});
    TempFolder copy;
    put(copy / "adapter_config.json", get(folder / "adapter_config.json"));
    write_safetensors(copy / "adapter_model.safetensors", renamed);
    CHECK(load_adapter(copy.path(), device, all, false).rows_of_base.size() == tokens.size());
    bool list = read_json_file(folder / "adapter_config.json").find("trainable_token_indices")->dump()[0] == '[';
    CHECK(list == tokens.front().module.empty());
  }
}

TEST_CASE("a tied head that is listed with the embedding's tokens has no tensor of its own") {
  DevicePtr device = test_device(1);
  Adapter adapter = with_rows(device, {{"embed_tokens", {5, 2}}});
  adapter.rows_of_base[0].module = "model.embed_tokens";
  adapter.config.trainable_token_indices.push_back({"lm_head", {5, 2}});
  TempFolder folder;
  save_adapter(adapter, folder.path());
  CHECK(load_adapter(folder.path(), device, all, false).rows_of_base.size() == 1);
  adapter.config.trainable_token_indices.back().ids = {2, 5};
  save_adapter(adapter, folder.path());
  CHECK(contains(message_of<InputError>([&] { load_adapter(folder.path(), device, all, false); }),
                 "missing: base_model.model.lm_head.token_adapter.trainable_tokens_delta"));
}

TEST_CASE("what is wrong with trained rows is named") {
  DevicePtr device = test_device(1);
  Adapter adapter = with_rows(device, {{"", {5, 2}}});
  TempFolder folder;
  auto refusal = [&] { return message_of<InputError>([&] { load_adapter(folder.path(), device, all, false); }); };
  std::string path = folder / "adapter_config.json";
  adapter.config.trainable_token_indices = {{"", {5, 5}}};
  save_adapter(adapter, folder.path());
  CHECK(refusal() == path + ": trainable_token_indices: expected each token once, found 5 twice");
  adapter.config.trainable_token_indices = {{"", {5, 2, 1}}};
  save_adapter(adapter, folder.path());
  CHECK(contains(refusal(), "trainable_tokens_delta (expected [3, width], found [2, 3])"));
  adapter.config.trainable_token_indices = {};
  save_adapter(adapter, folder.path());
  CHECK(contains(refusal(), "unexpected: base_model.model.model.embed_tokens.token_adapter.trainable_tokens_delta"));
  adapter.config.trainable_token_indices = {{"", {5, 2}}};
  adapter.rows_of_base[0].values.fill(std::numeric_limits<double>::quiet_NaN());
  CHECK(message_of<NumericError>([&] { save_adapter(adapter, folder.path()); }) ==
        "model.embed_tokens.token_adapter.trainable_tokens_delta: expected finite numbers to save, found NaN or Inf in "
        "f32");
  adapter.config.trainable_token_indices = {{"", {}}};
  CHECK(message_of<UsageError>([&] { adapter.config.check(); }) ==
        "trainable_token_indices: expected at least one token, found none");
}
