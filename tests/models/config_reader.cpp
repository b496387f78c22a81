// What config.json means, key by key, as transformers takes it: a value, null, absent, in both dialects.
#include "models/config_reader.h"

#include <doctest/doctest.h>

#include <algorithm>

#include "engine/error.h"
#include "models/families/family.h"
#include "ops/cpu/cpu_device.h"
#include "ops/meta_device.h"
#include "tests/models/config_golden.h"

using namespace loragrad;
using namespace loragrad::test;

namespace {

FamilyConfig read_all(const std::string& family, ConfigReader& read) {
  FamilyConfig found = family_named(family).read_config(read);
  read_common_keys(read, found.config);
  finish_config(found.config, read.root(), "");
  return found;
}

/// The names of the parameters of the model that is built.
std::vector<std::string> parameter_names(const FamilyConfig& family) {
  DevicePtr device = meta_device(cpu_device(1));
  auto source = fresh_source(device, 1, family.config.num_hidden_layers);
  family.build({family.config, device, DType::f32, source.get()});
  std::vector<std::string> names;
  for (const auto& [name, parameter] : source->take()) names.push_back(name);
  return names;
}

/// In the words of the golden.
Json computed(const FamilyConfig& family) {
  const ModelConfig& c = family.config;
  std::vector<std::string> names = parameter_names(family);
  auto has = [&](const std::string& end) {
    return std::any_of(names.begin(), names.end(), [&](const std::string& name) { return name.ends_with(end); });
  };
  auto flag = [&](const char* name) {
    const std::vector<double>* said = c.detail(name);
    return said && said->at(0) == 1;
  };
  auto number = [&](const char* name) {
    const std::vector<double>* said = c.detail(name);
    return said ? said->at(0) : 0;
  };
  auto list = [&](const char* name) {
    const std::vector<double>* said = c.detail(name);
    return said ? Json::Array(said->begin(), said->end()) : Json::Array();
  };
  return Json::Object{{"vocab_size", c.vocab_size},
                      {"hidden_size", c.hidden_size},
                      {"intermediate_size", c.intermediate_size},
                      {"num_hidden_layers", c.num_hidden_layers},
                      {"num_attention_heads", c.num_attention_heads},
                      {"num_key_value_heads", c.num_key_value_heads},
                      {"head_dim", c.head_dim},
                      {"max_position_embeddings", c.max_position_embeddings},
                      {"word_embed_proj_dim", c.word_embed_proj_dim},
                      {"norm_eps", c.norm_eps},
                      {"tie_word_embeddings", c.tie_word_embeddings},
                      {"do_layer_norm_before", flag("do_layer_norm_before")},
                      {"final_layer_norm", flag("do_layer_norm_before") && !flag("_remove_final_layer_norm")},
                      {"attention_bias", has("q_proj.bias") || has("query_key_value.bias")},
                      {"output_bias", has("o_proj.bias")},
                      {"mlp_bias", has("up_proj.bias") || has("fc1.bias")},
                      {"head_norms", has("q_norm.weight")},
                      {"scale_attn_weights", flag("scale_attn_weights")},
                      {"scale_attn_by_inverse_layer_idx", flag("scale_attn_by_inverse_layer_idx")},
                      {"query_pre_attn_scalar", number("query_pre_attn_scalar")},
                      {"attn_logit_softcapping", number("attn_logit_softcapping")},
                      {"final_logit_softcapping", number("final_logit_softcapping")},
                      {"use_parallel_residual", flag("use_parallel_residual")},
                      {"embedding_multiplier", list("embedding_multiplier")},
                      {"attention_multiplier", list("attention_multiplier")},
                      {"residual_multiplier", list("residual_multiplier")},
                      {"logits_scaling", list("logits_scaling")},
                      {"original_max_position_embeddings", c.original_max_position_embeddings},
                      {"rope_beyond", list("rope_beyond")},
                      {"rope_long_frequencies", list("rope_long_frequencies")},
                      {"rope_factor", list("rope_factor")},
                      {"rope_frequencies", list("rope_frequencies")},
                      {"rope_beyond2", list("rope_beyond2")},
                      {"rope_long_frequencies2", list("rope_long_frequencies2")},
                      {"rope_factor2", list("rope_factor2")},
                      {"rope_frequencies2", list("rope_frequencies2")},
                      {"rope_of_layers", list("rope_of_layers")},
                      {"windows", list("windows")}};
}

/// Frequencies come from f32 and are written with six digits.
void check_same(const std::string& key, const JsonRef& ours, const JsonRef& expected) {
  CAPTURE(key);
  if (expected.is_array()) {
    REQUIRE(ours.size() == expected.size());
    for (std::size_t i = 0; i < ours.size(); ++i)
      CHECK(ours[i].number(0, 1e6) == doctest::Approx(expected[i].number(0, 1e6)).epsilon(1e-5));
  } else if (expected.is_number()) {
    CHECK(ours.number(0, 1e12) == expected.number(0, 1e12));
  } else {
    CHECK(ours.boolean() == expected.boolean());
  }
}

void check_computes(const FamilyConfig& found, const JsonRef& base, const std::optional<JsonRef>& change) {
  Json ours = computed(found);
  for (const auto& [key, of_base] : base.members()) {
    auto changed = change ? change->find(key) : std::nullopt;
    JsonRef expected = changed ? *changed : of_base;
    if (key == "activation")
      CHECK(found.config.activation == activation_named(expected.string()));
    else
      check_same(key, JsonRef(ours, "ours").at(key), expected);
  }
}

}  // namespace

TEST_CASE("every key of config.json means what it means to transformers, or is refused by name") {
  Json golden = config_golden();
  for (const auto& [name, keys] : JsonRef(golden, "golden").at("keys").members()) {
    const std::string& family = name;  // as clang 14 wants it for CAPTURE
    CAPTURE(family);
    std::set<std::string> read_keys, rows;
    for (const JsonRef& change : keys.at("cases").elements()) {
      std::string text = change.json().dump();
      CAPTURE(text);
      Json config = changed_config(keys.at("base").json(), change);
      if (auto set = change.find("set"))
        for (const auto& [key, value] : set->members()) rows.insert(key);
      if (auto drop = change.find("drop"))
        for (const std::string& key : drop->strings()) rows.insert(key);
      ConfigReader read(JsonRef(config, "config.json"));
      bool refused = change.find("error") || change.find("unsupported");
      std::string message;
      try {
        FamilyConfig found = read_all(family, read);
        if (!refused) check_computes(found, keys.at("computes"), change.find("computes"));
      } catch (const InputError& error) {
        message = error.what();
      }
      CHECK_MESSAGE(refused == !message.empty(), message);
      if (refused) CHECK_MESSAGE(message.find("config.json: ") == 0, message);
      if (refused) CHECK_MESSAGE(message.find(": expected ") != std::string::npos, message);
      if (refused) CHECK_MESSAGE(message.find(", found ") != std::string::npos, message);
      read_keys.insert(read.keys().begin(), read.keys().end());
    }
    for (const std::string& key : read_keys)
      CHECK_MESSAGE(rows.contains(key), "no row in make_config_golden.py for ", key);
  }
}

TEST_CASE("the key that is refused is the one that is wrong") {
  auto message = [](const std::string& family, const char* text) -> std::string {
    Json json = parse_json(text, "config.json");
    ConfigReader read(JsonRef(json, "config.json"));
    try {
      read_all(family, read);
    } catch (const InputError& error) {
      return error.what();
    }
    return "";
  };
  CHECK(
      message("llama", R"({"rms_norm_eps": null})").starts_with("config.json: rms_norm_eps: expected a finite number"));
  CHECK(message("opt", R"({"tie_word_embeddings": null})") ==
        "config.json: tie_word_embeddings: expected true or false, found null");
  CHECK(message("llama", R"({"rope_scaling": {"type": "su"}})") ==
        "config.json: rope_scaling.type: expected a rope type of: default, linear, dynamic, llama3, yarn, longrope, "
        "found "
        "\"su\"");
  CHECK(message("llama", R"({"rope_parameters": {"rope_type": null}})")
            .starts_with("config.json: rope_parameters.rope_type: expected a string"));
  CHECK(message("llama", R"({"rope_theta": 7, "rope_scaling": {"rope_theta": null, "type": "default"}})")
            .starts_with("config.json: rope_scaling.rope_theta: expected "));
  CHECK(message("llama", R"({"rope_scaling": {"type": "linear"}})").starts_with("config.json: rope_scaling.factor: "));
  const std::string phi = R"({"hidden_size": 24, "num_attention_heads": 4, "rope_scaling": {"type": "longrope")";
  CHECK(message("phi3", (phi + R"(, "long_factor": [1, 1, 1]}})").c_str()) ==
        "config.json: rope_scaling.short_factor: expected this key, found none");
  CHECK(message("phi3", (phi + R"(, "short_factor": [1, 1, 1], "long_factor": [1, 1]}})").c_str()) ==
        "config.json: rope_scaling.long_factor: expected a list of 3 numbers, one for each two dimensions that are "
        "rotated (this has 2), found [1, 1]");
  CHECK(message("phi3", (phi + R"(, "short_factor": [1, 0, 1]}})").c_str())
            .starts_with("config.json: rope_scaling.short_factor[1]: expected a finite number"));
  CHECK(message("phi3", R"({"rope_scaling": {"type": "linear", "factor": 2}})") ==
        "config.json: rope_scaling.type: expected a rope type of: default, longrope, found \"linear\"");
  CHECK(message("llama", R"({"rope_scaling": "linear"})").starts_with("config.json: rope_scaling: expected an object"));
  CHECK(message("llama", R"({"partial_rotary_factor": 0.5, "rope_scaling": {"type": "linear", "factor": 2}})")
            .starts_with("config.json: partial_rotary_factor: expected 1 "));
  CHECK(message("gpt2", R"({"n_embd": 12, "hidden_size": null})").starts_with("config.json: hidden_size: expected "));
  CHECK(message("gpt2", R"({"n_embd": 12, "num_attention_heads": 5})")
            .starts_with("config.json: num_attention_heads: expected a divisor"));
  CHECK(message("opt", R"({"is_causal": false})") ==
        "config.json: is_causal: expected true (nothing else is supported), found false");
  CHECK(message("opt", R"({"quantization_config": {}})")
            .starts_with("config.json: quantization_config: expected null or no such key"));
}

TEST_CASE("what counts for nothing in config.json is told") {
  auto warnings = [](const std::string& family, const char* text) {
    Json json = parse_json(text, "config.json");
    ConfigReader read(JsonRef(json, "config.json"));
    return read_all(family, read).config.warnings;
  };
  using Lines = std::vector<std::string>;
  CHECK(warnings("llama", "{}") == Lines{});
  CHECK(warnings("llama", R"({"sliding_window": null, "partial_rotary_factor": 1.0})") == Lines{});
  CHECK(warnings("llama", R"({"rope_scaling": {"type": "linear", "factor": 2, "rope_theta": 7, "beta": 1}})") ==
        Lines{"config.json: rope_scaling.beta: has no effect with rope type linear"});
  const std::string phi = R"({"hidden_size": 8, "num_attention_heads": 4, "rope_scaling": {"type": "su",
      "short_factor": [1], "long_factor": [2], "original_max_position_embeddings": 9}, "original_max_position_embeddings")";
  CHECK(warnings("phi3", (phi + ": 9}").c_str()) == Lines{});
  CHECK(warnings("phi3", (phi + ": 8}").c_str()) ==
        Lines{"config.json: rope_scaling.original_max_position_embeddings: has no effect on this family: it is 8 by "
              "the top level"});
  CHECK(warnings("llama", R"({"layer_types": ["a"], "rope_parameters": {"a": {"rope_theta": 7}}})") ==
        Lines{"config.json: rope_parameters.a: has no effect with rope type default"});
  CHECK(warnings("llama", R"({"rope_parameters": {"factor": 2.0}})") ==
        Lines{"config.json: rope_parameters.factor: has no effect with rope type default"});
  CHECK(warnings("llama", R"({"partial_rotary_factor": 0.5})") ==
        Lines{"config.json: partial_rotary_factor: has no effect on this family: all of the head is rotated"});
  CHECK(warnings("opt", R"({"sliding_window": 16})") ==
        Lines{"config.json: sliding_window: has no effect on this family: attention reaches all tokens"});
}
