#pragma once
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "engine/random.h"
#include "models/files/write_model.h"
#include "models/model.h"
#include "tests/device/test_device.h"
#include "tests/io/support.h"
#include "train/output.h"
#include "train/trainer.h"

namespace loragrad::test {

inline const char* tiny_llama = R"({"model_type": "llama", "vocab_size": 32, "hidden_size": 16, "intermediate_size": 24,
  "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 64,
  "rms_norm_eps": 1e-5, "hidden_act": "silu", "tie_word_embeddings": true, "bos_token_id": 1, "eos_token_id": 2,
  "torch_dtype": "bfloat16"})";

/// tiny_llama with another vocabulary and room for longer rows.
inline std::string tiny_llama_of(std::int64_t vocab, std::int64_t positions) {
  std::string config = tiny_llama;
  config.replace(config.find("32"), 2, std::to_string(vocab));
  return config.replace(config.find("64"), 2, std::to_string(positions));
}

inline const std::vector<std::string> query_value{"q_proj", "v_proj"};

/// A tiny model with random weights, as a Hugging Face folder.
class TinyModel {
 public:
  explicit TinyModel(const std::string& config = tiny_llama) {
    std::filesystem::create_directory(folder_ / "source");
    put(folder_ / "source/config.json", config);
    put(folder_ / "source/tokenizer.json", "{}");
    std::unique_ptr<CausalLm> model = new_model(folder_ / "source/config.json", test_device(1), 3);
    // Ten times the usual start, so that the adapters' gradients stand clear of rounding.
    for (auto& [name, tensor] : model->trainable())
      if (!name.ends_with("norm.weight"))
        change_values<float>(tensor, [](auto& values) {
          for (float& value : values) value *= 10;
        });
    std::filesystem::create_directory(path());
    write_model(*model, folder_ / "source", path());
  }
  std::string path() const { return folder_ / "model"; }
  std::string operator/(const std::string& name) const { return folder_ / name; }

 private:
  TempFolder folder_;
};

inline LoraConfig lora_config(const TargetModules& targets, double dropout = 0) {
  LoraConfig config;
  config.r = 3;
  config.lora_alpha = 7;
  config.lora_dropout = dropout;
  config.target_modules = targets;
  return config;
}

/// An adapter with random A on the modules whose names end in one of `ends`. alpha is not r.
inline Adapter tiny_adapter(const CausalLm& model, const std::vector<std::string>& ends, double dropout = 0,
                            bool zero_b = true) {
  Adapter adapter;
  adapter.config.r = 3;
  adapter.config.lora_alpha = 7;
  adapter.config.lora_dropout = dropout;
  Random random(11, 0);
  auto normal = [&](Shape shape, double deviation) {
    std::vector<float> values(static_cast<std::size_t>(shape.numel()));
    for (float& value : values) value = static_cast<float>(random.normal() * deviation);
    Tensor tensor = Tensor::from(model.device(), shape, values.data());
    return tensor.set_trainable();
  };
  for (const LinearShape& linear : model.linear_shapes())
    for (const std::string& end : ends)
      if (linear.name.ends_with(end))
        adapter.modules.push_back(
            {linear.name, normal({3, linear.in}, 0.3), normal({linear.out, 3}, zero_b ? 0 : 0.3), 7.0 / 3});
  return adapter;
}

/// Rows of 3 to 12 random tokens; in every other one the first half is a prompt.
inline Dataset tiny_data(std::size_t rows, std::uint64_t seed = 5) {
  Dataset data;
  data.path = "tiny.jsonl";
  Random random(seed, 0);
  for (std::size_t r = 0; r < rows; ++r) {
    Row row;
    std::size_t size = 3 + random.below(10);
    for (std::size_t t = 0; t < size; ++t) {
      row.input_ids.push_back(static_cast<TokenId>(random.below(32)));
      row.labels.push_back(r % 2 && t < size / 2 ? no_label : row.input_ids.back());
    }
    data.tokens += static_cast<std::int64_t>(size);
    data.supervised_tokens += supervised_tokens(row);
    data.rows.push_back(row);
  }
  return data;
}

/// All values of an adapter, one after the other.
inline std::vector<float> values_of(const Adapter& adapter) {
  std::vector<float> all;
  for (const auto& [name, tensor] : adapter.tensors())
    for (float value : tensor.values<float>()) all.push_back(value);
  return all;
}

}  // namespace loragrad::test
