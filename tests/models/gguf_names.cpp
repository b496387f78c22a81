#include "models/files/gguf_names.h"

#include "tests/io/support.h"
#include "tests/models/shared.h"

using namespace loragrad;
using namespace loragrad::test;

namespace {

ModelConfig config_of(const std::string& type, std::int64_t head_dim) {
  ModelConfig config;
  config.model_type = type;
  config.head_dim = head_dim;
  return config;
}

}  // namespace

TEST_CASE("llama.cpp's names of linear maps, and of families") {
  auto name = [](const std::string& type, const std::string& map) {
    return gguf_map({map, 8, 12}, config_of(type, 4)).name;
  };
  CHECK(name("llama", "model.layers.13.self_attn.q_proj") == "blk.13.attn_q.weight");
  CHECK(name("qwen2", "model.layers.0.self_attn.o_proj") == "blk.0.attn_output.weight");
  CHECK(name("gemma2", "model.layers.0.mlp.gate_proj") == "blk.0.ffn_gate.weight");
  CHECK(name("phi3", "model.layers.2.mlp.gate_up_proj") == "blk.2.ffn_up.weight");
  CHECK(name("phi3", "model.layers.2.self_attn.qkv_proj") == "blk.2.attn_qkv.weight");
  CHECK(name("gpt_neox", "gpt_neox.layers.1.mlp.dense_4h_to_h") == "blk.1.ffn_down.weight");
  CHECK(name("gpt2", "transformer.h.0.attn.c_attn") == "blk.0.attn_qkv.weight");
  CHECK(name("gpt2", "transformer.h.0.mlp.c_fc") == "blk.0.ffn_up.weight");
  CHECK(gguf_map({.name = "transformer.wte", .is_embedding = true}, config_of("gpt2", 4)).name == "token_embd.weight");
  CHECK(gguf_architecture(config_of("mistral", 4)) == "llama");
  CHECK(gguf_architecture(config_of("gemma3_text", 4)) == "gemma3");
  CHECK(message_of<InputError>([] { gguf_architecture(config_of("opt", 4)); }) ==
        "convert: expected a model that llama.cpp has, found model_type \"opt\"");
  CHECK(message_of<InputError>([] {
          gguf_map({"lm_head", 8, 12}, config_of("llama", 4));
        }) == "convert: lm_head: expected a linear map that llama.cpp has a name for, found none");
}

TEST_CASE("llama.cpp's order of rows") {
  using Order = std::vector<std::int64_t>;
  auto order = [](const std::string& type, const std::string& map, std::int64_t out) {
    return gguf_map({"model.layers.0." + map, 8, out}, config_of(type, 4)).order;
  };
  // Two heads of four: row (half, i) goes to (i, half).
  CHECK(order("llama", "self_attn.q_proj", 8) == Order{0, 2, 1, 3, 4, 6, 5, 7});
  CHECK(order("granite", "self_attn.k_proj", 4) == Order{0, 2, 1, 3});
  CHECK(order("llama", "self_attn.v_proj", 8).empty());
  CHECK(order("qwen3", "self_attn.q_proj", 8).empty());
  // Each head's q, k and v, of a width of four: first all heads' q.
  CHECK(order("gpt_neox", "attention.query_key_value", 24) ==
        Order{0, 1, 2, 3, 12, 13, 14, 15, 4, 5, 6, 7, 16, 17, 18, 19, 8, 9, 10, 11, 20, 21, 22, 23});
}
