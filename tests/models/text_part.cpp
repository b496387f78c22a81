// Text models that are parts of models which read images too: names in several spellings, what the whole's
// configuration says, and that the other parts stay as they are.
#include <doctest/doctest.h>

#include <cstring>
#include <filesystem>
#include <functional>

#include "engine/error.h"
#include "io/atomic.h"
#include "io/mapped_file.h"
#include "lora/files/adapter_file.h"
#include "lora/text_part.h"
#include "models/files/base_hash.h"
#include "models/files/merged_model.h"
#include "models/files/write_model.h"
#include "tests/device/test_device.h"
#include "tests/io/support.h"
#include "tests/models/golden_case.h"

using namespace loragrad;
using namespace loragrad::test;

namespace {

const std::string gemma = "tests/models/golden/gemma3-images", llava = "tests/models/golden/llava";

std::unique_ptr<CausalLm> opened(const std::string& folder) {
  return load_model(folder, test_device(2), {.precision = Precision::f32});
}

using Rename = std::function<std::string(const std::string&)>;

/// A copy of a folder's safetensors and configuration with other names ("": not there).
void write_renamed(const std::string& from, const std::string& file, const std::string& to, const Rename& rename) {
  std::filesystem::create_directory(to);
  StoredTensors tensors = open_safetensors(from + "/" + file + ".safetensors");
  std::vector<TensorToWrite> written;
  for (const StoredTensor& t : tensors.tensors)
    if (std::string name = rename(t.name); !name.empty()) written.push_back({name, t.dtype(), t.shape, t.bytes});
  write_safetensors(to + "/" + file + ".safetensors", written);
  for (const char* other : {"config.json", "adapter_config.json"})
    if (is_there(from + "/" + other)) write_file(to + "/" + other, read_file(from + "/" + other));
}

Json config_of(const std::string& folder) { return read_json_file(folder + "/model/config.json"); }

void write_config(const std::string& folder, const Json& config) { write_file(folder + "/config.json", config.dump()); }

/// All tensors of `a` that are of no text model have the same bytes in `b`, and names and configuration are the same.
void check_other_parts(const std::string& a, const std::string& b) {
  StoredTensors before = open_model_folder(a), after = open_model_folder(b);
  CHECK(before.tensors.size() == after.tensors.size());
  int others = 0;
  for (const StoredTensor& t : before.tensors) {
    const StoredTensor* same = after.find(t.name);
    REQUIRE_MESSAGE(same, t.name);
    if (is_in_text_part(t.name)) continue;
    REQUIRE(same->byte_count == t.byte_count);
    CHECK(std::memcmp(same->bytes, t.bytes, t.byte_count) == 0);
    ++others;
  }
  CHECK(others > 10);
}

}  // namespace

TEST_CASE("names of a text model in all spellings") {
  const std::string itself = "model.layers.0.mlp.up_proj", part = "model.language_model.layers.0.mlp.up_proj",
                    in_files = "language_model.model.layers.0.mlp.up_proj";
  for (const std::string& name : {itself, part, in_files}) {
    CHECK(spelled(name, Spelling::itself) == itself);
    CHECK(spelled(name, Spelling::part) == part);
    CHECK(spelled(name, Spelling::in_files) == in_files);
    CHECK(is_in_text_part(name) == (name != itself));
  }
  CHECK(spelled("language_model.lm_head.weight", Spelling::part) == "lm_head.weight");
  CHECK(spelled("lm_head.weight", Spelling::in_files) == "language_model.lm_head.weight");
  CHECK(spelled("vision_tower.x", Spelling::part) == "vision_tower.x");
  CHECK_FALSE(is_in_text_part("model.vision_tower.x"));
}

TEST_CASE("a text part is opened by the names of files, old and new") {
  GoldenCase golden = read_golden_case(gemma);
  auto of_whole = [](Spelling spelling) {
    return [=](const std::string& name) {
      return is_in_text_part(name) ? spelled(name, spelling) : spelling == Spelling::in_files ? name : "model." + name;
    };
  };
  for (Spelling spelling : {Spelling::itself, Spelling::part, Spelling::in_files}) {
    TempFolder folder;
    write_renamed(gemma + "/model", "model", folder / "m", of_whole(spelling));
    auto model = opened(folder / "m");
    CHECK(golden.logit_difference(*model, "base_logits") < 2e-4);
    CHECK(model->config().model_type == "gemma3_text");
    CHECK(model->linear_shapes().front().name == "model.language_model.layers.0.self_attn.q_proj");
  }
  TempFolder folder;
  write_renamed(gemma + "/model", "model", folder / "m", [](const std::string& name) {
    return name.find("layers.1.mlp.up_proj") == std::string::npos ? name : name + ".more";
  });
  CHECK_THROWS_WITH_AS(opened(folder / "m"), doctest::Contains("language_model.layers.1.mlp.up_proj.weight"),
                       InputError);
}

TEST_CASE("the whole's configuration says what it says to transformers") {
  auto with = [](const std::string& from, const std::function<void(Json&)>& change) {
    TempFolder folder;
    write_renamed(from + "/model", "model", folder / "m", [](const std::string& name) { return name; });
    Json config = config_of(from);
    change(config);
    write_config(folder / "m", config);
    return opened(folder / "m");
  };
  auto text = [](Json& config, const char* key, Json value) {
    Json part = *config.find("text_config");
    part.set(key, std::move(value));
    config.set("text_config", std::move(part));
  };
  CHECK(with(gemma,
             [](Json& c) {
               c.set("eos_token_id", Json::Array{7, 9});
             })
            ->config()
            .eos_token_ids == std::vector<std::int32_t>{7, 9});
  CHECK(with(gemma, [&](Json& c) { text(c, "eos_token_id", 8); })->config().eos_token_ids ==
        std::vector<std::int32_t>{8});
  // The whole ties the head, whatever its text says; LLaVA's where one of the two does.
  CHECK(with(gemma, [&](Json& c) { text(c, "tie_word_embeddings", false); })->config().tie_word_embeddings);
  CHECK_THROWS_AS(with(gemma, [](Json& c) { c.set("tie_word_embeddings", false); }), InputError);
  CHECK_FALSE(with(llava, [](Json&) {})->config().tie_word_embeddings);
  CHECK(with(llava, [&](Json& c) { text(c, "tie_word_embeddings", true); })->config().tie_word_embeddings);
  CHECK_THROWS_WITH_AS(with(gemma, [&](Json& c) { text(c, "model_type", "mamba"); }),
                       doctest::Contains("text_config.model_type: expected one of: "), InputError);
  CHECK_THROWS_WITH_AS(with(gemma, [](Json& c) { c.set("model_type", "idefics3"); }),
                       doctest::Contains("model_type: expected a model whose text part is model.language_model"),
                       InputError);
  CHECK_THROWS_WITH_AS(with(gemma, [&](Json& c) { text(c, "num_attention_heads", 5); }),
                       doctest::Contains("text_config.num_attention_heads: expected a divisor"), InputError);
  CHECK_THROWS_WITH_AS(with(gemma,
                            [](Json& c) {
                              c.set("quantization_config", Json::Object{{"bits", 4}});
                            }),
                       doctest::Contains("quantization_config: expected null"), InputError);
}

TEST_CASE("an adapter of a text part is read in any spelling, and written in PEFT's") {
  const std::string prefix = "base_model.model.";
  for (const std::string& folder : {gemma, llava}) {
    CAPTURE(folder);
    GoldenCase golden = read_golden_case(folder);
    auto model = opened(folder + "/model");
    for (Spelling spelling : {Spelling::itself, Spelling::part, Spelling::in_files}) {
      CAPTURE(static_cast<int>(spelling));
      TempFolder temp;
      write_renamed(folder + "/adapter", "adapter_model", temp / "a", [&](const std::string& name) {
        std::string inner = name.substr(prefix.size());
        return is_in_text_part(inner) ? prefix + spelled(inner, spelling) : spelling == Spelling::itself ? "" : name;
      });
      if (folder == llava) {  // whose targets and ranks are whole names
        std::string text = read_file(temp / "a/adapter_config.json"), from = "model\\\\.language_model\\\\.";
        std::string to = spelling == Spelling::part       ? from
                         : spelling == Spelling::in_files ? "language_model\\\\.model\\\\."
                                                          : "model\\\\.";
        for (std::size_t at = 0; (at = text.find(from, at)) != std::string::npos; at += to.size())
          text.replace(at, from.size(), to);
        write_file(temp / "a/adapter_config.json", text);
      }
      std::vector<std::string> warnings;
      Adapter adapter = load_adapter(temp / "a", model->device(), model->linear_shapes(), false, &warnings);
      CHECK(golden.logit_difference(*model, "adapted_logits", model->activate(adapter)) < 2e-4);
      bool of_images = folder == gemma && spelling != Spelling::itself;
      CHECK(warnings.size() == (of_images ? 1 : 0));
      if (of_images)
        CHECK(warnings.at(0).ends_with(
            ": 4 tensors are of other parts than the text model: they count for nothing here"));

      std::filesystem::create_directory(temp / "b");
      save_adapter(adapter, temp / "b");
      for (const StoredTensor& t : open_safetensors(temp / "b/adapter_model.safetensors").tensors)
        CHECK(t.name.starts_with(prefix + "model.language_model.layers."));
      Json json = read_json_file(temp / "b/adapter_config.json");
      CHECK(JsonRef(json, "").at("exclude_modules").string() == R"((?!model\.language_model\.).*)");
      Adapter again = load_adapter(temp / "b", model->device(), model->linear_shapes(), false);
      CHECK(golden.logit_difference(*model, "adapted_logits", model->activate(again)) < 2e-4);
      if (folder == gemma) CHECK(again.config.target_modules.names.size() == 3);
    }
  }
}

TEST_CASE("a text model by itself takes the adapters of the whole, and has its hash") {
  GoldenCase golden = read_golden_case(gemma);
  TempFolder folder;
  write_renamed(gemma + "/model", "model", folder / "m",
                [](const std::string& name) { return is_in_text_part(name) ? spelled(name, Spelling::itself) : ""; });
  write_config(folder / "m", *config_of(gemma).find("text_config"));
  auto alone = opened(folder / "m"), whole = opened(gemma + "/model");
  Adapter adapter = load_adapter(gemma + "/adapter", alone->device(), alone->linear_shapes(), false);
  CHECK(golden.logit_difference(*alone, "adapted_logits", alone->activate(adapter)) < 2e-4);
  CHECK(adapter.modules.front().name == "model.layers.0.self_attn.q_proj");
  CHECK(base_hash(*alone, BaseTensors(*alone, folder / "m")) ==
        base_hash(*whole, BaseTensors(*whole, gemma + "/model")));
}

TEST_CASE("what is written of a text part keeps the other parts, byte for byte, and the folder's names") {
  for (const std::string& folder : {gemma, llava}) {
    CAPTURE(folder);
    GoldenCase golden = read_golden_case(folder);
    auto model = opened(folder + "/model");
    Adapter adapter = load_adapter(folder + "/adapter_trained", model->device(), model->linear_shapes(), false);
    TempFolder temp;
    for (const char* name : {"merged", "full"}) std::filesystem::create_directory(temp / name);
    write_merged_model(*model, folder + "/model", {{adapter, 1.0}}, temp / "merged");
    check_other_parts(folder + "/model", temp / "merged");
    CHECK(read_file(temp / "merged/config.json") == read_file(folder + "/model/config.json"));
    CHECK(golden.logit_difference(*opened(temp / "merged"), "merged_logits") < 2e-4);
    write_model(*model, folder + "/model", temp / "full");
    check_other_parts(folder + "/model", temp / "full");
    CHECK(golden.logit_difference(*opened(temp / "full"), "base_logits") < 2e-4);
  }
}
