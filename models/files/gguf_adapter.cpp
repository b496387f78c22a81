#include "models/files/gguf_adapter.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "engine/error.h"
#include "io/gguf.h"
#include "io/json.h"
#include "io/message.h"
#include "io/stored_values.h"
#include "lora/head_name.h"
#include "lora/merge/plain_factors.h"
#include "lora/variant.h"
#include "models/files/gguf_names.h"

namespace loragrad {
namespace {

constexpr const char *type_key = "general.type", *architecture_key = "general.architecture", *kind_key = "adapter.type",
                     *alpha_key = "adapter.lora.alpha";

void expect(const GgufFile& file, const char* key, const std::string& expected) {
  if (const std::string& found = file.text(key); found != expected)
    throw InputError(fmt::format("{}: {}: expected \"{}\", found \"{}\"", file.path, key, expected, escaped(found)));
}

double alpha_of(const GgufFile& file) {
  double alpha = file.number(alpha_key);
  if (!std::isfinite(alpha))
    throw InputError(fmt::format("{}: {}: expected a finite number, found {}", file.path, alpha_key,
                                 std::isnan(alpha) ? "NaN"
                                 : alpha > 0       ? "Inf"
                                                   : "-Inf"));
  return alpha;
}

/// Rows of B in the file's order, or back in ours.
std::vector<float> reordered(const std::vector<float>& b, std::int64_t rank, const std::vector<std::int64_t>& order,
                             bool back) {
  if (order.empty()) return b;
  std::vector<float> out(b.size());
  for (std::size_t row = 0; row < order.size(); ++row) {
    std::int64_t from = back ? static_cast<std::int64_t>(row) : order[row],
                 to = back ? order[row] : static_cast<std::int64_t>(row);
    std::copy_n(b.begin() + from * rank, rank, out.begin() + to * rank);
  }
  return out;
}

std::vector<float> values_of(const GgufFile& file, const GgufTensor& tensor) {
  std::int64_t count = 1;
  for (std::int64_t n : tensor.shape) count *= n;
  std::vector<float> values(static_cast<std::size_t>(count));
  for (std::size_t i = 0; i < values.size(); ++i) {
    values[i] = static_cast<float>(stored_value(tensor.bytes, tensor.dtype, i));
    if (!std::isfinite(values[i]))
      throw InputError(file.path + ": " + tensor.name + ": expected finite numbers, found NaN or Inf");
  }
  return values;
}

void expect_shape(const GgufFile& file, const GgufTensor& tensor, const Shape& shape) {
  if (tensor.shape == std::vector<std::int64_t>{shape.rows, shape.cols}) return;
  throw InputError(fmt::format("{}: {}: expected {}, found [{}]", file.path, escaped(tensor.name, 200), shape.text(),
                               fmt::join(tensor.shape, ", ")));
}

}  // namespace

Adapter read_gguf_adapter(const std::string& path, const std::vector<LinearShape>& all, const ModelConfig& config,
                          const DevicePtr& device) {
  GgufFile file = open_gguf(path);
  expect(file, type_key, "adapter");
  expect(file, kind_key, "lora");
  expect(file, architecture_key, gguf_architecture(config));
  double alpha = alpha_of(file);
  std::map<std::string, const GgufTensor*> tensors;
  for (const GgufTensor& tensor : file.tensors) tensors[tensor.name] = &tensor;

  Adapter adapter;
  for (const LinearShape& map : all) {
    GgufMap theirs = gguf_map(map, config);
    auto a = tensors.find(theirs.name + ".lora_a"), b = tensors.find(theirs.name + ".lora_b");
    if (a == tensors.end() && b == tensors.end()) continue;
    if (a == tensors.end() || b == tensors.end())
      throw InputError(file.path + ": " + theirs.name + ": expected lora_a and lora_b, found one alone");
    const GgufTensor &stored_a = *a->second, &stored_b = *b->second;
    // A row of an embedding's A is a token's, to be looked up.
    std::int64_t rank = map.is_embedding ? stored_a.shape.back() : stored_a.shape.front();
    rank = std::max<std::int64_t>(rank, 1);
    Shape of_a = map.is_embedding ? Shape{map.in, rank} : Shape{rank, map.in};
    expect_shape(file, stored_a, of_a);
    expect_shape(file, stored_b, {map.out, rank});
    Tensor factor = Tensor::from(device, of_a, values_of(file, stored_a));
    // As llama.cpp has it, an alpha of zero is none.
    double scale = alpha == 0 ? 1 : alpha / static_cast<double>(rank);
    adapter.modules.push_back(
        {.name = map.name,
         .a = map.is_embedding ? transposed(factor) : factor,
         .b = Tensor::from(device, {map.out, rank}, reordered(values_of(file, stored_b), rank, theirs.order, true)),
         .scale = scale,
         .layout = map.layout,
         .variant = map.is_embedding ? &embedding_lora() : &plain_lora()});
    adapter.config.target_modules.names.push_back(map.name);
    tensors.erase(a);
    tensors.erase(theirs.name + ".lora_b");
  }
  if (!tensors.empty()) {
    std::vector<std::string> names;
    for (const auto& [name, tensor] : tensors) names.push_back(name);
    throw InputError(path +
                     ": expected lora_a and lora_b of the model's linear maps, its embedding and its head, found " +
                     list_text(names, 240));
  }
  return adapter;
}

void write_gguf_adapter(const Adapter& adapter, const ModelConfig& config, const std::string& path) {
  double alpha = adapter.config.lora_alpha;
  require_finite(alpha_key, alpha);
  // llama.cpp takes zero for none: a scale of one.
  if (static_cast<float>(alpha) == 0)
    throw NumericError(fmt::format("{}: expected a number that is not 0 in f32 to save, found {:g}", alpha_key, alpha));
  std::vector<GgufTensorToWrite> tensors;
  for (const LoraModule& module : adapter.modules) {
    LinearShape map{.name = module.name,
                    .in = module.a.cols(),
                    .out = module.b.rows(),
                    .layout = module.layout,
                    .is_embedding = module.variant->of_embedding(),
                    .is_head = module.name == head_module};
    GgufMap theirs = gguf_map(map, config);
    std::int64_t rank = module.a.rows();
    Tensor a = map.is_embedding ? transposed(module.a) : module.a;
    std::string name_a = theirs.name + ".lora_a", name_b = theirs.name + ".lora_b";
    tensors.push_back({name_a, {a.rows(), a.cols()}, finite_values(name_a, a)});
    tensors.push_back(
        {name_b, {module.b.rows(), rank}, reordered(finite_values(name_b, module.b), rank, theirs.order, false)});
  }
  write_gguf(
      path,
      {{architecture_key, gguf_architecture(config)}, {type_key, "adapter"}, {kind_key, "lora"}, {alpha_key, alpha}},
      tensors);
}

}  // namespace loragrad
