#include "lora/adapter_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "engine/error.h"
#include "io/atomic.h"
#include "io/json.h"
#include "io/message.h"
#include "io/safetensors.h"
#include "io/tensor_complaints.h"
#include "lora/adapter_config_json.h"
#include "lora/adapter_tensors.h"
#include "lora/matching.h"
#include "lora/on_original_base.h"
#include "lora/patterns.h"
#include "lora/rounded_values.h"
#include "lora/saved_modules.h"
#include "lora/variant.h"

namespace loragrad {
namespace {

constexpr const char* prefix = "base_model.model.";
constexpr const char* config_file = "/adapter_config.json";
constexpr const char* tensor_file = "/adapter_model.safetensors";

/// Where the configuration names no targets, the modules that have tensors are meant: PEFT's own default depends on
/// the model's family, and an adapter that was saved has been filled in.
void fill_targets(AdapterConfigFile& file, const AdapterTensors& tensors, const std::string& path,
                  std::vector<std::string>* warnings) {
  TargetModules& targets = file.config.target_modules;
  if (targets.kind != TargetModules::Kind::names || !targets.names.empty()) return;
  targets.names = tensors.modules();
  if (targets.names.empty())
    throw InputError(path +
                     ": target_modules: expected a list of modules' names, or a pattern, found none, and no A in " +
                     tensors.path());
  if (warnings)
    warnings->push_back(path + ": target_modules: none; those that " + tensors.path() + " has are taken, " +
                        std::to_string(targets.names.size()));
}

/// The modules that the configuration gives an adapter, and then the targets that say so without exclude_modules and
/// layers_to_transform, which are not kept.
std::vector<LinearShape> select_modules(AdapterConfigFile& file, const std::string& path,
                                        const std::vector<LinearShape>& all, std::vector<std::string>* warnings) {
  TargetModules& targets = file.config.target_modules;
  TargetSelection selection = select_targets(targets, all);
  std::vector<LinearShape> modules = within(file.limits, selection.modules, targets, all);
  const std::vector<std::string>& saved = file.config.modules_to_save;  // never adapted too
  std::erase_if(modules, [&](const LinearShape& shape) { return is_saved_module(saved, shape.name); });
  if (modules.empty()) {
    std::string first = selection.unmatched.empty() ? targets.text() : selection.unmatched.front();
    throw InputError(path + ": target_modules: expected modules of this model, found \"" + escaped(first, 200) +
                     "\", which gives none" + nearest_targets_text(targets, first, all));
  }
  if (warnings && !selection.unmatched.empty()) {
    std::vector<std::string> names;
    for (const std::string& name : selection.unmatched) names.push_back('"' + name + '"');
    warnings->push_back(path + ": target_modules: " + list_text(names, 200) +
                        (names.size() == 1 ? " matches" : " match") + " no module of the model");
  }
  if (file.limits.any()) {
    targets = {};
    for (const LinearShape& shape : modules) targets.names.push_back(shape.name);
  }
  return modules;
}

[[noreturn]] void refuse_trained(const std::string& path, const StoredTensor& tensor, const StoredTensor& base) {
  bool resized = tensor.shape != base.shape;
  throw InputError(path + ": " + escaped(tensor.name, 200) + ": expected the base's own " +
                   (resized ? base.shape_text() : "values") +
                   " (a parameter trained or resized beside the adapter: "
                   "not supported), found " +
                   (resized ? tensor.shape_text() : "others"));
}

constexpr std::string_view bias_of_adapted = ".base_layer.bias";

/// Which of the base's parameters a tensor beside the adapter is that the configuration says was trained; "" for others.
std::string trained_parameter(const LoraConfig& config, const std::set<std::string>& adapted, std::string name) {
  bool of_adapted = name.ends_with(bias_of_adapted);
  if (of_adapted) name.replace(name.size() - bias_of_adapted.size(), bias_of_adapted.size(), ".bias");
  for (std::string_view wrapped : {".modules_to_save.default.", ".modules_to_save."})
    if (std::size_t at = name.rfind(wrapped); at != std::string::npos) name.replace(at, wrapped.size(), ".");
  return is_trained(config, adapted, name) || (of_adapted && config.bias != TrainedBias::none) ? name : "";
}

std::string name_of(const std::string& module, const VariantTensor& tensor) {
  return module + "." + std::string(tensor.name);
}

/// PEFT's name, less its prefix, of a parameter that was trained.
std::string stored_name(const TrainedParameter& parameter, const std::set<std::string>& adapted) {
  std::size_t dot = parameter.name.rfind('.');
  std::string module = parameter.name.substr(0, dot);
  return parameter.name.substr(dot) == ".bias" && adapted.count(module) ? module + std::string(bias_of_adapted)
                                                                        : parameter.name;
}

}  // namespace

void save_adapter(const Adapter& trained, const std::string& folder) {
  Adapter adapter = on_original_base(trained);
  std::vector<std::vector<std::byte>> rounded;
  std::vector<TensorToWrite> tensors;
  auto add = [&](const std::string& name, const Tensor& tensor, DType dtype, std::vector<std::int64_t> shape) {
    rounded.push_back(rounded_values(name, tensor, dtype));
    tensors.push_back({prefix + name, dtype, std::move(shape), rounded.back().data()});
  };
  for (const LoraModule& module : adapter.modules)
    for (const VariantTensor& part : module.variant->tensors()) {
      const Tensor& tensor = module.*part.place;
      add(name_of(module.name, part), tensor, DType::f32, part.dimensions(tensor.shape()));
    }
  std::set<std::string> adapted = names_of(adapter.modules);
  for (const TrainedParameter& each : adapter.parameters_of_base) {
    std::vector<std::int64_t> shape{each.values.rows(), each.values.cols()};
    if (each.values.rows() == 1) shape.erase(shape.begin());  // the model's vectors are one row
    add(stored_name(each, adapted), each.values, each.stored, std::move(shape));
  }
  write_safetensors(folder + tensor_file, tensors);
  write_file(folder + config_file, adapter_config_text(adapter));
}

Adapter load_adapter(const std::string& folder, const DevicePtr& device, const std::vector<LinearShape>& all,
                     bool trainable, std::vector<std::string>* warnings, DType dtype, const FindBaseTensor& base) {
  require_adapter_folder(folder);
  AdapterConfigFile file = read_adapter_config_file(folder + config_file, warnings);
  AdapterTensors tensors(folder);
  fill_targets(file, tensors, folder + config_file, warnings);
  std::vector<LinearShape> modules = select_modules(file, folder + config_file, all, warnings);
  ModuleRanks ranks(file.config);

  TensorComplaints complaints;
  std::set<std::string> expected;
  const LoraVariant& variant = variant_of(file.config);
  for (const LinearShape& map : modules) {
    ModuleSpec spec{file.config, map, ranks.rank(map.name)};
    for (const VariantTensor& part : variant.tensors()) {
      std::string name = name_of(map.name, part);
      expected.insert(name);
      const StoredTensor* tensor = tensors.find(name);
      std::vector<std::int64_t> dimensions = part.dimensions(part.shape(spec));
      if (!tensor)
        complaints.missing(prefix + name);
      else if (tensor->shape != dimensions)
        complaints.shape(tensor->name, fmt::format("[{}]", fmt::join(dimensions, ", ")), tensor->shape_text());
    }
  }
  std::set<std::string> adapted;
  for (const LinearShape& map : modules) adapted.insert(map.name);
  std::map<std::string, const StoredTensor*> trained;
  for (const auto& [name, tensor] : tensors.all()) {
    if (expected.count(name)) continue;
    if (std::string parameter = trained_parameter(file.config, adapted, name); !parameter.empty()) {
      trained[parameter] = tensor;
      continue;
    }
    const StoredTensor* repeated = repeated_tensor(name, base);
    if (!repeated)
      complaints.unexpected(tensor->name);
    else if (!has_values_of(*tensor, *repeated))
      refuse_trained(tensors.path(), *tensor, *repeated);
  }
  for (const StoredTensor* tensor : tensors.others()) complaints.unexpected(tensor->name);
  if (std::string wrong = complaints.text(); !wrong.empty())
    throw InputError(tensors.path() + ": expected the tensors of the modules that " + (config_file + 1) +
                     " selects from the model, found " + wrong);

  Adapter adapter;
  adapter.config = file.config;
  adapter.base_model = file.base_model;
  for (const LinearShape& map : modules) {
    ModuleSpec spec{adapter.config, map, ranks.rank(map.name)};
    LoraModule module{.name = map.name, .scale = ranks.scale(map.name), .layout = map.layout, .variant = &variant};
    for (const VariantTensor& part : variant.tensors())
      module.*part.place = read_tensor(*tensors.find(name_of(map.name, part)), part.shape(spec), device, dtype,
                                       trainable, tensors.path());
    adapter.modules.push_back(std::move(module));
  }
  for (const auto& [name, tensor] : trained) {
    const std::vector<std::int64_t>& shape = tensor->shape;
    if (shape.empty() || shape.size() > 2)
      throw InputError(tensors.path() + ": " + tensor->name + ": expected a matrix or a vector, found " +
                       tensor->shape_text());
    Shape matrix{shape.size() > 1 ? shape[0] : 1, shape.back()};
    adapter.parameters_of_base.push_back(
        {name, read_tensor(*tensor, matrix, device, dtype, trainable, tensors.path()), tensor->dtype()});
  }
  return adapter;
}

LoraConfig read_adapter_config(const std::string& folder, std::string* base_model, std::vector<std::string>* warnings) {
  require_adapter_folder(folder);
  AdapterConfigFile file = read_adapter_config_file(folder + config_file, warnings);
  fill_targets(file, AdapterTensors(folder), folder + config_file, warnings);
  if (base_model) *base_model = file.base_model;
  return file.config;
}

}  // namespace loragrad
