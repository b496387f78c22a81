#include "lora/files/mlx_adapter.h"

#include <algorithm>
#include <limits>
#include <map>
#include <set>

#include "engine/error.h"
#include "io/atomic.h"
#include "io/json.h"
#include "io/message.h"
#include "io/safetensors.h"
#include "lora/files/adapter_tensors.h"
#include "lora/head_name.h"
#include "lora/layer_name.h"
#include "lora/merge/plain_factors.h"
#include "lora/variant.h"
#include "ops/l2_norm.h"

namespace loragrad {
namespace {

constexpr const char* config_file = "/adapter_config.json";
constexpr const char* tensor_file = "/adapters.safetensors";
constexpr std::string_view layers_name = "model.layers", embedding_name = "model.embed_tokens";

bool is_zero(const Tensor& x) { return l2_norm(x.device(), x.matrix()) == 0; }

Tensor read_matrix(const std::string& path, const StoredTensor& stored, Shape expected, const DevicePtr& device) {
  if (stored.shape != std::vector<std::int64_t>{expected.rows, expected.cols})
    throw InputError(path + ": " + stored.name + ": expected " + expected.text() + ", found " + stored.shape_text());
  return transposed(read_tensor(stored, expected, device, DType::f32, false, path));
}

/// What mlx-lm's configuration calls a map, for all layers from `first` on, which it makes smaller: its name within a layer;
/// outside of the layers its whole name.
std::string key_of(const LoraModule& module, std::int64_t& first) {
  if (module.name == head_module || (module.variant->of_embedding() && module.name == embedding_name))
    return module.name;
  std::optional<LayerName> name = layer_name(module.name);
  if (!name || name->head != layers_name)
    throw InputError("convert: " + module.name + ": expected " + std::string(embedding_name) + ", " + head_module +
                     " or a linear map within " + std::string(layers_name) + ".N, as mlx-lm names them, found another");
  first = std::min(first, name->layer);
  return std::string(name->tail);
}

/// Whether mlx-lm makes an adapter of a map when it reads the configuration.
bool is_made(const LinearShape& map, const std::set<std::string>& keys, std::int64_t first) {
  if (keys.count(map.name)) return true;
  std::optional<LayerName> name = layer_name(map.name);
  return name && name->head == layers_name && name->layer >= first && keys.count(std::string(name->tail));
}

void refuse_unread(const std::string& path, const StoredTensors& file, const std::set<std::string>& read) {
  std::vector<std::string> others;
  bool dora = false;
  for (const StoredTensor& tensor : file.tensors) {
    if (read.count(tensor.name)) continue;
    others.push_back(tensor.name);
    dora = dora || tensor.name.ends_with(".m");
  }
  if (others.empty()) return;
  throw InputError(path + ": expected lora_a and lora_b of the model's linear maps, its embedding and its head" +
                   (dora ? " (DoRA: not supported)" : "") + ", found " + list_text(others, 240));
}

}  // namespace

bool is_mlx_adapter(const std::string& folder) { return is_there(folder + tensor_file); }

Adapter read_mlx_adapter(const std::string& folder, const std::vector<LinearShape>& all, const DevicePtr& device) {
  std::string path = folder + config_file, tensor_path = folder + tensor_file;
  Json json = read_json_file(path);
  JsonRef file(json, path);
  if (auto type = file.find("fine_tune_type"); type && (!type->is_string() || type->string() != "lora"))
    type->fail("\"lora\"");
  JsonRef parameters = file.at("lora_parameters");
  constexpr double largest = std::numeric_limits<float>::max();
  Adapter adapter;
  LoraConfig& config = adapter.config;
  config.r = parameters.at("rank").integer(1, 1 << 20);
  double scale = parameters.at("scale").number(-largest, largest);
  if (auto dropout = parameters.find("dropout")) config.lora_dropout = dropout->number(0, 0.999999);
  config.lora_alpha = scale * static_cast<double>(config.r);

  StoredTensors tensors = open_safetensors(tensor_path);
  std::set<std::string> read;
  for (const LinearShape& map : all) {
    const StoredTensor *a = tensors.find(map.name + ".lora_a"), *b = tensors.find(map.name + ".lora_b");
    if (!a && !b) continue;
    if (!a || !b)
      throw InputError(tensor_path + ": " + map.name + ": expected lora_a and lora_b, found " +
                       (a ? "lora_a" : "lora_b") + " alone");
    read.insert({a->name, b->name});
    LoraModule module{.name = map.name,
                      .a = read_matrix(tensor_path, *a, {map.in, config.r}, device),
                      .b = read_matrix(tensor_path, *b, {config.r, map.out}, device),
                      .scale = scale,
                      .layout = map.layout,
                      .variant = map.is_embedding ? &embedding_lora() : &plain_lora()};
    if (is_zero(module.a) && is_zero(module.b)) continue;
    config.target_modules.names.push_back(map.name);
    adapter.modules.push_back(std::move(module));
  }
  refuse_unread(tensor_path, tensors, read);
  return adapter;
}

void write_mlx_adapter(const Adapter& adapter, const std::vector<LinearShape>& all, std::int64_t layers,
                       const std::string& folder) {
  std::map<std::string, const LoraModule*> modules;
  std::set<std::string> keys;
  std::int64_t first = layers;
  for (const LoraModule& module : adapter.modules) {
    keys.insert(key_of(module, first));
    modules[module.name] = &module;
  }
  double scale = adapter.modules.front().scale;
  require_finite("lora_parameters.scale", scale);
  std::vector<std::vector<float>> values;
  std::vector<TensorToWrite> tensors;
  auto add = [&](const std::string& name, Shape shape, const Tensor* factor) {
    values.push_back(factor ? finite_values(name, transposed(*factor))
                            : std::vector<float>(static_cast<std::size_t>(shape.numel())));
    tensors.push_back({name, DType::f32, {shape.rows, shape.cols}, values.back().data()});
  };
  for (const LinearShape& map : all) {
    if (!is_made(map, keys, first)) continue;
    auto found = modules.find(map.name);
    const LoraModule* module = found == modules.end() ? nullptr : found->second;
    add(map.name + ".lora_a", {map.in, adapter.config.r}, module ? &module->a : nullptr);
    add(map.name + ".lora_b", {adapter.config.r, map.out}, module ? &module->b : nullptr);
  }
  write_safetensors(folder + tensor_file, tensors);
  Json json(Json::Object{
      {"fine_tune_type", "lora"},
      {"num_layers", layers - first},
      {"lora_parameters", Json::Object{{"rank", adapter.config.r},
                                       {"scale", scale},
                                       {"dropout", adapter.config.lora_dropout},
                                       {"keys", Json::Array(keys.begin(), keys.end())}}},
  });
  if (!adapter.base_model.empty()) json.set("model", adapter.base_model);
  write_file(folder + config_file, json.dump(2, true));
}

}  // namespace loragrad
