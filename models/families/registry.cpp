#include "engine/error.h"
#include "io/needed_folder.h"
#include "models/families/family.h"
#include "models/text_config.h"

namespace loragrad {
namespace {

const std::vector<Family>& families() {
  static const std::vector<Family> all{opt_family(),      gpt2_family(),    llama_family(),  mistral_family(),
                                       qwen2_family(),    qwen3_family(),   olmo2_family(),  gemma_family(),
                                       gemma2_family(),   gemma3_family(),  phi3_family(),   olmo3_family(),
                                       gpt_neox_family(), granite_family(), smollm3_family()};
  return all;
}

const Family& family_of(const JsonRef& root) {
  const std::string& type = root.at("model_type").string();
  std::string known;
  for (const Family& family : families()) {
    if (family.model_type == type) return family;
    known += (known.empty() ? "" : ", ") + family.model_type;
  }
  root.at("model_type").fail("one of: " + known);
}

FamilyConfig read_config(const Family& family, const JsonRef& root, const std::string& folder) {
  ConfigReader read(root);
  FamilyConfig found = family.read_config(read);
  found.config.model_type = family.model_type;
  read_common_keys(read, found.config);
  finish_config(found.config, root, folder);
  return found;
}

DType resolve(Precision precision, DType stored, const Device& device) {
  switch (precision) {
    case Precision::f64:
      return DType::f64;
    case Precision::f32:
      return DType::f32;
    case Precision::bf16:
      if (!device.has_bf16())
        throw UsageError(
            "precision: bf16 needs a processor with bf16 products (AVX512-BF16), oneDNN, and no LORAGRAD_MAX_CPU_ISA "
            "that forbids them: use f32");
      return DType::bf16;
    default:
      return (stored == DType::bf16 || stored == DType::f16) && device.has_bf16() ? DType::bf16 : DType::f32;
  }
}

}  // namespace

/// Fills what the families do not know of: CausalLm's own fields.
class ModelAssembly {
 public:
  static std::unique_ptr<CausalLm> assemble(const FamilyConfig& family, const DevicePtr& device, DType compute,
                                            DType stored, ParameterSource& source) {
    std::unique_ptr<CausalLm> model = family.build({family.config, device, compute, &source});
    source.finish();
    model->parameters_ = source.take();
    std::vector<std::string> warnings = source.warnings();
    model->config_.warnings.insert(model->config_.warnings.end(), warnings.begin(), warnings.end());
    model->stored_dtype_ = stored;
    return model;
  }
};

std::unique_ptr<CausalLm> load_model(const std::string& folder, const DevicePtr& device, const LoadOptions& options) {
  require_folder_with(folder, "config.json");
  std::string config_file = folder + "/config.json";
  Json json = read_json_file(config_file);
  bool text_part = has_text_part(json);
  if (text_part) json = with_text_settings(JsonRef(json, config_file));
  JsonRef whole(json, config_file), root = text_part ? whole.at("text_config") : whole;
  const Family& family = family_of(root);
  FamilyConfig found = read_config(family, root, folder);
  StoredTensors file = open_model_folder(folder);
  DType stored = stored_dtype(file);
  DType compute = resolve(options.precision, stored, *device);
  auto source = stored_source(folder, std::move(file), device, options, compute, family, text_part);
  return ModelAssembly::assemble(found, device, compute, stored, *source);
}

std::unique_ptr<CausalLm> new_model(const std::string& config_json_file, const DevicePtr& device, std::uint64_t seed) {
  Json json = read_json_file(config_json_file);
  JsonRef root(json, config_json_file);
  const Family& family = family_of(root);
  FamilyConfig found = read_config(family, root, "");
  auto source = fresh_source(device, seed, found.config.num_hidden_layers);
  return ModelAssembly::assemble(found, device, DType::f32, DType::f32, *source);
}

std::vector<std::string> model_types() {
  std::vector<std::string> types;
  for (const Family& family : families()) types.push_back(family.model_type);
  return types;
}

const Family& family_named(const std::string& model_type) {
  for (const Family& family : families())
    if (family.model_type == model_type) return family;
  throw UsageError("expected a model type that is known, found " + model_type);
}

TargetModules default_targets(const std::string& model_type) { return family_named(model_type).targets; }

}  // namespace loragrad
