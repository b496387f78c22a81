#include "models/text_config.h"

#include <algorithm>
#include <array>

#include "models/config_reader.h"
#include "models/families/family.h"

namespace loragrad {
namespace {

/// Models that tie the head where they do not say otherwise, whatever their text model does.
constexpr std::array tied{"gemma3", "paligemma", "mistral3", "internvl", "aya_vision", "got_ocr2", "lighton_ocr"};

/// Models whose text part transformers calls otherwise than model.language_model.
constexpr std::array called_otherwise{"blip-2", "instructblip", "instructblipvideo", "idefics2", "idefics3", "smolvlm"};

/// The others tie it where either of the two says so.
bool is_tied(const JsonRef& config, bool by_text) {
  const std::string& type = config.at("model_type").string();
  bool by_default = std::find(tied.begin(), tied.end(), type) != tied.end();
  auto said = config.find("tie_word_embeddings");
  return (said ? said->boolean() : by_default) || (!by_default && by_text);
}

}  // namespace

bool has_text_part(const Json& config) {
  const Json *text = config.find("text_config"), *type = config.find("model_type");
  const auto* name = type ? std::get_if<std::string>(&type->value()) : nullptr;
  std::vector<std::string> known = model_types();
  return text && std::holds_alternative<Json::Object>(text->value()) && name &&
         std::find(known.begin(), known.end(), *name) == known.end();
}

Json with_text_settings(const JsonRef& config) {
  JsonRef type = config.at("model_type");
  if (std::find(called_otherwise.begin(), called_otherwise.end(), type.string()) != called_otherwise.end())
    type.fail("a model whose text part is model.language_model (other names are not supported)");
  ConfigReader read(config);
  for (const char* key : {"quantization_config", "per_layer_config", "configuration_files"}) read.refuse(key);
  JsonRef part = config.at("text_config");
  Json text = part.json(), whole = config.json();
  auto by_text = part.find("tie_word_embeddings");
  text.set("tie_word_embeddings", is_tied(config, by_text && by_text->boolean()));
  for (const char* id : {"eos_token_id", "bos_token_id"})
    if (auto said = config.find(id)) text.set(id, said->json());
  whole.set("text_config", std::move(text));
  return whole;
}

}  // namespace loragrad
