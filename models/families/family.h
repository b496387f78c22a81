#pragma once
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "models/config_reader.h"
#include "models/files/parameter_source.h"
#include "models/model.h"

namespace loragrad {

/// What a model is built on: its configuration, its device, the type it computes in and where its parameters come from.
struct ModelParts {
  ModelConfig config;
  DevicePtr device;
  DType dtype = DType::f32;
  ParameterSource* source = nullptr;
};

/// A config.json as its family has read it: what all code may know, and how the model is built of it, with what only
/// the family knows.
struct FamilyConfig {
  ModelConfig config;
  std::function<std::unique_ptr<CausalLm>(const ModelParts& parts)> build;
};

/// One model family: how its config is read and its model built.
struct Family {
  std::string model_type;    ///< config.json's
  std::string base_prefix;   ///< of the stored names, which some files leave out
  std::string architecture;  ///< transformers' class, as config.json's "architectures" has it
  TargetModules targets;     ///< PEFT's default
  FamilyConfig (*read_config)(ConfigReader& read);
  /// Ends of names of tensors that old files carry and nobody needs: masks, rotary frequencies.
  std::vector<std::string> ignored_buffers = {};
};

Family opt_family();
Family gpt2_family();
Family llama_family();
Family mistral_family();
Family qwen2_family();
Family qwen3_family();
Family olmo2_family();
Family gemma_family();
Family gemma2_family();
Family gemma3_family();
Family phi3_family();
Family olmo3_family();
Family gpt_neox_family();
Family granite_family();
Family smollm3_family();
/// The model types that there is a family for.
std::vector<std::string> model_types();
/// UsageError for a model type that is none of these.
const Family& family_named(const std::string& model_type);

}  // namespace loragrad
