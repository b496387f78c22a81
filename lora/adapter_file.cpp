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
#include "lora/adapter_to_write.h"
#include "lora/matching.h"
#include "lora/on_original_base.h"
#include "lora/patterns.h"
#include "lora/respelled_adapter.h"
#include "lora/rounded_values.h"
#include "lora/saved_modules.h"
#include "lora/trained_rows.h"
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
  bool left_out = modules.size() < selection.modules.size();
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
  if (left_out) {
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

/// PEFT then ties what it adds to an embedding and to the head that is tied to it.
void check_tying(const AdapterConfigFile& file, const std::string& path, const std::vector<LinearShape>& modules,
                 std::vector<std::string>* warnings) {
  if (!file.ensure_weight_tying) return;
  bool adapted = std::any_of(modules.begin(), modules.end(), [](const LinearShape& map) { return map.is_embedding; });
  if (adapted || !file.config.modules_to_save.empty())
    throw InputError(path +
                     ": ensure_weight_tying: expected false beside an embedding that is adapted or trained whole, " +
                     "found true");
  if (warnings) warnings->push_back(path + ": ensure_weight_tying: has no effect on this adapter, ignored");
}

/// The variant of each module; the configuration is the file's fault.
std::vector<const LoraVariant*> variants_of(const LoraConfig& config, const std::vector<LinearShape>& modules,
                                            const std::string& path) {
  std::vector<const LoraVariant*> variants;
  for (const LinearShape& map : modules) try {
      variants.push_back(&variant_of(config, map));
    } catch (const UsageError& error) {
      throw InputError(path + ": " + error.what());
    }
  return variants;
}

/// The rows that the configuration says were trained, by the tensors that are there. A tied head's are the embedding's,
/// and have no tensor.
std::vector<std::pair<TrainedRows, const StoredTensor*>> trained_rows(const LoraConfig& config,
                                                                      const AdapterTensors& tensors,
                                                                      const std::vector<LinearShape>& all,
                                                                      TensorComplaints& complaints) {
  std::vector<std::pair<TrainedRows, const StoredTensor*>> result;
  std::vector<const TrainableTokens*> without;
  const std::string end = rows_name("");
  auto embedding = std::find_if(all.begin(), all.end(), [](const LinearShape& map) { return map.is_embedding; });
  for (const TrainableTokens& entry : config.trainable_token_indices) {
    std::size_t before = result.size();
    for (const auto& [name, tensor] : tensors.all()) {
      if (!name.ends_with(end)) continue;
      std::string module = name.substr(0, name.size() - end.size());
      bool is_embedding = embedding == all.end() ? module != "lm_head" : module == embedding->name;
      if (!is_module_of(entry, module, is_embedding)) continue;
      result.push_back({{module, entry.ids, {}}, tensor});
      if (tensor->shape.size() != 2 || tensor->shape[0] != static_cast<std::int64_t>(entry.ids.size()))
        complaints.shape(tensor->name, fmt::format("[{}, width]", entry.ids.size()), tensor->shape_text());
    }
    if (result.size() == before) without.push_back(&entry);
  }
  for (const TrainableTokens* entry : without)
    if (std::none_of(result.begin(), result.end(), [&](const auto& rows) { return rows.first.ids == entry->ids; }))
      complaints.missing(prefix + rows_name(!entry->module.empty()   ? entry->module
                                            : embedding == all.end() ? "embed_tokens"
                                                                     : embedding->name));
  return result;
}

/// PEFT's name, less its prefix, of a parameter that was trained.
std::string stored_name(const TrainedParameter& parameter, const std::set<std::string>& adapted) {
  std::size_t dot = parameter.name.rfind('.');
  std::string module = parameter.name.substr(0, dot);
  return parameter.name.substr(dot) == ".bias" && adapted.count(module) ? module + std::string(bias_of_adapted)
                                                                        : parameter.name;
}

}  // namespace

AdapterToWrite adapter_to_write(const Adapter& trained) {
  Adapter adapter = on_original_base(trained);
  AdapterToWrite files{adapter_config_text(adapter), {}, {}};
  auto add = [&](const std::string& name, const Tensor& tensor, DType dtype, const std::vector<std::int64_t>& shape) {
    files.tensors.push_back({prefix + name, dtype, shape});
    files.values.push_back(rounded_values(name, tensor, dtype));
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
    add(stored_name(each, adapted), each.values, each.stored, shape);
  }
  for (const TrainedRows& rows : adapter.rows_of_base)
    add(rows_name(rows.module), rows.values, DType::f32, {rows.values.rows(), rows.values.cols()});
  return files;
}

void write_adapter(const AdapterToWrite& files, const std::string& folder) {
  std::vector<TensorToWrite> tensors;
  for (std::size_t i = 0; i < files.tensors.size(); ++i) {
    const TensorOutline& outline = files.tensors[i];
    tensors.push_back({outline.name, outline.dtype, outline.shape, files.values[i].data()});
  }
  write_safetensors(folder + tensor_file, tensors);
  write_file(folder + config_file, files.config);
}

void save_adapter(const Adapter& adapter, const std::string& folder) {
  write_adapter(adapter_to_write(adapter), folder);
}

Adapter load_adapter(const std::string& folder, const DevicePtr& device, const std::vector<LinearShape>& of_model,
                     bool trainable, std::vector<std::string>* warnings, DType dtype, const FindBaseTensor& base) {
  require_adapter_folder(folder);
  AdapterConfigFile file = read_adapter_config_file(folder + config_file, warnings);
  AdapterTensors tensors(folder);
  fill_targets(file, tensors, folder + config_file, warnings);
  Spelling own = spelling_of(of_model.empty() ? "" : of_model.front().name), theirs = spelling_in(tensors, own);
  std::vector<LinearShape> all = of_model;
  if (theirs != own)
    for (LinearShape& map : all) map.name = spelled(map.name, theirs);
  std::vector<LinearShape> modules = select_modules(file, folder + config_file, all, warnings);
  check_tying(file, folder + config_file, modules, warnings);
  ModuleRanks ranks(file.config);

  TensorComplaints complaints;
  std::set<std::string> expected;
  std::vector<const LoraVariant*> variants = variants_of(file.config, modules, folder + config_file);
  for (std::size_t i = 0; i < modules.size(); ++i) {
    const LinearShape& map = modules[i];
    ModuleSpec spec{file.config, map, ranks.rank(map.name)};
    for (const VariantTensor& part : variants[i]->tensors()) {
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
  auto rows = trained_rows(file.config, tensors, all, complaints);
  for (const auto& [each, tensor] : rows) expected.insert(rows_name(each.module));
  std::map<std::string, const StoredTensor*> trained;
  std::size_t of_other_parts = 0;
  for (const auto& [name, tensor] : tensors.all()) {
    if (expected.count(name)) continue;
    if (theirs != Spelling::itself && !is_in_text_part(name)) {
      ++of_other_parts;
      continue;
    }
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

  if (warnings && of_other_parts > 0)
    warnings->push_back(tensors.path() + ": " + std::to_string(of_other_parts) +
                        " tensors are of other parts than the text model: they count for nothing here");
  Adapter adapter;
  adapter.config = file.config;
  adapter.base_model = file.base_model;
  for (std::size_t i = 0; i < modules.size(); ++i) {
    const LinearShape& map = modules[i];
    ModuleSpec spec{adapter.config, map, ranks.rank(map.name)};
    LoraModule module{.name = map.name, .scale = ranks.scale(map.name), .layout = map.layout, .variant = variants[i]};
    for (const VariantTensor& part : module.variant->tensors())
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
  for (auto& [each, tensor] : rows) {
    Shape shape{tensor->shape[0], tensor->shape[1]};
    each.values = read_tensor(*tensor, shape, device, dtype, trainable, tensors.path());
    adapter.rows_of_base.push_back(std::move(each));
  }
  if (theirs != own) respell(adapter, own);
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
