#include "models/files/write_model.h"

#include <filesystem>
#include <optional>
#include <set>

#include "io/atomic.h"
#include "io/json.h"
#include "io/sharded_writer.h"
#include "lora/text_part.h"
#include "models/files/base_tensors.h"
#include "models/files/model_files.h"

namespace loragrad {
namespace {

namespace fs = std::filesystem;

std::string torch_name(DType dtype) {
  switch (dtype) {
    case DType::bf16:
      return "bfloat16";
    case DType::f16:
      return "float16";
    case DType::f64:
      return "float64";
    default:
      return "float32";
  }
}

}  // namespace

void write_model(const CausalLm& model, const std::string& base_folder, const std::string& folder) {
  // A text part keeps the names that its folder's file has for it, and the other parts' tensors beside it.
  std::optional<BaseTensors> base;
  if (is_in_text_part(model.parameters().front().first)) base.emplace(model, base_folder);
  auto stored_name = [&](const std::string& name) {
    const StoredTensor* stored = base ? base->find(name) : nullptr;
    return stored ? stored->name : name;
  };
  std::vector<TensorOutline> outlines;
  bool trained = false;
  std::set<std::string> matrices;
  for (const LinearShape& linear : model.linear_shapes()) matrices.insert(linear.name + ".weight");
  for (const auto& [name, parameter] : model.parameters()) {
    Shape shape = parameter->shape();
    trained = trained || parameter->needs_grad();
    // A vector is one row here, and so may be a linear map's matrix.
    bool matrix = shape.rows != 1 || matrices.count(name);
    std::vector<std::int64_t> dims = matrix ? std::vector{shape.rows, shape.cols} : std::vector{shape.cols};
    outlines.push_back({stored_name(name), parameter->dtype(), dims});
  }
  std::vector<const StoredTensor*> others;
  if (base)
    for (const StoredTensor& tensor : base->file().tensors)
      if (is_parameter_dtype(tensor) && !is_in_text_part(tensor.name)) others.push_back(&tensor);
  for (const StoredTensor* tensor : others) outlines.push_back({tensor->name, tensor->dtype(), tensor->shape});
  ShardedWriter file(folder, outlines);
  for (const auto& [name, parameter] : model.parameters()) {
    HostBytes values = parameter->weight().on_host();
    file.add(stored_name(name), values.data, values.size);
  }
  for (const StoredTensor* tensor : others) file.add(tensor->name, tensor->bytes, tensor->byte_count);
  file.commit();

  Json config = read_json_file((fs::path(base_folder) / "config.json").string());
  std::string dtype = torch_name(trained ? DType::f32 : model.stored_dtype());
  config.set(config.find("dtype") ? "dtype" : "torch_dtype", dtype);
  if (config.find("dtype") && config.find("torch_dtype")) config.set("torch_dtype", dtype);
  write_file((fs::path(folder) / "config.json").string(), config.dump(2) + "\n");
  copy_companions(base_folder, folder);
}

}  // namespace loragrad
