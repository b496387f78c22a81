#include "lora/adapter_file.h"

#include <algorithm>
#include <cmath>
#include <set>

#include "engine/error.h"
#include "io/atomic.h"
#include "io/json.h"
#include "io/message.h"
#include "io/safetensors.h"
#include "io/tensor_complaints.h"
#include "lora/adapter_config_json.h"
#include "lora/matching.h"
#include "lora/patterns.h"

namespace loragrad {
namespace {

constexpr const char* prefix = "base_model.model.";
constexpr const char* config_file = "/adapter_config.json";
constexpr const char* tensor_file = "/adapter_model.safetensors";

bool is_finite(const Tensor& tensor) {
  return std::isfinite(tensor.device()->kernels().squared_norm(*tensor.device(), tensor.matrix()));
}

/// The number in a module's name that PEFT takes for its layer: the last that stands behind two words, the nearer of
/// which is one of `patterns` where there are any. None: -1.
std::int64_t layer_of(const std::string& name, const std::vector<std::string>& patterns) {
  std::vector<std::string> words{""};
  for (char c : name) {
    if (c == '.')
      words.emplace_back();
    else
      words.back().push_back(c);
  }
  for (std::size_t i = words.size() - 1; i-- > 2;) {
    bool number =
        !words[i].empty() && words[i].size() < 10 && words[i].find_first_not_of("0123456789") == std::string::npos;
    if (number && (patterns.empty() || std::count(patterns.begin(), patterns.end(), words[i - 1])))
      return std::stoll(words[i]);
  }
  return -1;
}

bool is_chosen(std::int64_t layer, const std::vector<std::int64_t>& layers) {
  return std::count(layers.begin(), layers.end(), layer) > 0;
}

/// The modules that the configuration gives an adapter, and then the targets that say so without exclude_modules and
/// layers_to_transform, which are not kept.
std::vector<LinearShape> select_modules(AdapterConfigFile& file, const std::string& path,
                                        const std::vector<LinearShape>& all, std::vector<std::string>* warnings) {
  TargetModules& targets = file.config.target_modules;
  TargetSelection selection = select_targets(targets, all);
  std::set<std::string> left_out;
  if (file.excludes)
    for (const LinearShape& shape : select_targets(file.exclude, all).modules) left_out.insert(shape.name);
  if (file.layers)
    for (const LinearShape& shape : selection.modules)
      if (!is_chosen(layer_of(shape.name, file.layers_pattern), *file.layers)) left_out.insert(shape.name);

  std::vector<LinearShape> modules;
  for (const LinearShape& shape : selection.modules)
    if (!left_out.count(shape.name)) modules.push_back(shape);
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
  if (file.excludes || file.layers) {
    targets = {};
    for (const LinearShape& shape : modules) targets.names.push_back(shape.name);
  }
  return modules;
}

Tensor read_tensor(const StoredTensor& stored, const Shape& shape, const DevicePtr& device, DType dtype, bool trainable,
                   const std::string& path) {
  Tensor tensor = Weight(device, stored.bytes, stored.dtype(), shape, stored.file).to_tensor(dtype);
  if (!is_finite(tensor)) throw InputError(path + ": " + stored.name + ": expected finite numbers, found NaN or Inf");
  if (trainable) tensor.set_trainable();
  return tensor;
}

}  // namespace

void save_adapter(const Adapter& adapter, const std::string& folder) {
  std::vector<std::vector<float>> values;
  std::vector<TensorToWrite> tensors;
  for (const auto& [name, tensor] : adapter.tensors()) {
    if (!is_finite(tensor)) throw NumericError(name + ": expected finite numbers to save, found NaN or Inf");
    values.push_back((tensor.dtype() == DType::f32 ? tensor : tensor.to(DType::f32)).values<float>());
    tensors.push_back({prefix + name, DType::f32, {tensor.rows(), tensor.cols()}, values.back().data()});
  }
  write_safetensors(folder + tensor_file, tensors);
  write_file(folder + config_file, adapter_config_text(adapter));
}

Adapter load_adapter(const std::string& folder, const DevicePtr& device, const std::vector<LinearShape>& all,
                     bool trainable, std::vector<std::string>* warnings, DType dtype) {
  AdapterConfigFile file = read_adapter_config_file(folder + config_file, warnings);
  std::string path = folder + tensor_file;
  SafetensorsFile stored = open_safetensors(path);
  std::vector<LinearShape> modules = select_modules(file, folder + config_file, all, warnings);
  ModuleRanks ranks(file.config);

  TensorComplaints complaints;
  std::set<std::string> expected;
  auto check = [&](const std::string& key, const Shape& shape) {
    expected.insert(key);
    const StoredTensor* tensor = stored.find(key);
    if (!tensor) return complaints.missing(key);
    if (tensor->shape != std::vector<std::int64_t>{shape.rows, shape.cols})
      complaints.shape(key, shape.text(), tensor->shape_text());
  };
  for (const LinearShape& shape : modules) {
    std::int64_t rank = ranks.rank(shape.name);
    check(prefix + shape.name + ".lora_A.weight", {rank, shape.in});
    check(prefix + shape.name + ".lora_B.weight", {shape.out, rank});
  }
  for (const StoredTensor& tensor : stored.tensors)
    if (!expected.count(tensor.name)) complaints.unexpected(tensor.name);
  if (std::string wrong = complaints.text(); !wrong.empty())
    throw InputError(path + ": expected A and B of the modules that " + (config_file + 1) +
                     " selects from the model, found " + wrong);

  Adapter adapter;
  adapter.config = file.config;
  adapter.base_model = file.base_model;
  for (const LinearShape& shape : modules) {
    auto read = [&](const char* which, const Shape& matrix) {
      return read_tensor(*stored.find(prefix + shape.name + which), matrix, device, dtype, trainable, path);
    };
    std::int64_t rank = ranks.rank(shape.name);
    adapter.modules.push_back({shape.name, read(".lora_A.weight", {rank, shape.in}),
                               read(".lora_B.weight", {shape.out, rank}), ranks.scale(shape.name), shape.layout});
  }
  return adapter;
}

LoraConfig read_adapter_config(const std::string& folder, std::string* base_model, std::vector<std::string>* warnings) {
  AdapterConfigFile file = read_adapter_config_file(folder + config_file, warnings);
  if (base_model) *base_model = file.base_model;
  return file.config;
}

}  // namespace loragrad
