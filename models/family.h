#pragma once
#include <memory>
#include <string>
#include <vector>

#include "models/config_reader.h"
#include "models/model.h"
#include "models/parameter_source.h"

namespace loragrad {

/// What a model is built on: its configuration, its device, the type it computes in and where its parameters come from.
struct ModelParts {
  ModelConfig config;
  DevicePtr device;
  DType dtype = DType::f32;
  ParameterSource* source = nullptr;
};

/// One model family: how its config is read and its model built.
struct Family {
  std::string model_type;   ///< config.json's
  std::string base_prefix;  ///< of the stored names, which some files leave out
  TargetModules targets;    ///< PEFT's default
  ModelConfig (*read_config)(ConfigReader& read);
  std::unique_ptr<CausalLm> (*build)(const ModelParts& parts);
};

Family opt_family();
Family gpt2_family();
Family llama_family();
/// The model types that there is a family for.
std::vector<std::string> model_types();
/// UsageError for a model type that is none of these.
const Family& family_named(const std::string& model_type);

}  // namespace loragrad
