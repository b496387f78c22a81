#include "lora/adapter_outline.h"

#include "io/json.h"
#include "lora/adapter_tensors.h"

namespace loragrad {

std::vector<LinearShape> adapter_outline(const std::string& folder) {
  require_adapter_folder(folder);
  std::string path = folder + "/adapter_config.json";
  Json json = read_json_file(path);
  auto transposed = JsonRef(json, path).find("fan_in_fan_out");
  WeightLayout layout = transposed && transposed->boolean() ? WeightLayout::in_out : WeightLayout::out_in;
  AdapterTensors tensors(folder);
  std::vector<LinearShape> shapes;
  for (const std::string& module : tensors.modules()) {
    // What is missing, or no matrix, whoever reads the adapter names by what it should be.
    const StoredTensor *a = tensors.find(module + ".lora_A.weight"), *b = tensors.find(module + ".lora_B.weight");
    shapes.push_back({.name = module,
                      .in = a->shape.empty() ? 0 : a->shape.back(),
                      .out = b && !b->shape.empty() ? b->shape.front() : 0,
                      .layout = layout});
  }
  return shapes;
}

}  // namespace loragrad
