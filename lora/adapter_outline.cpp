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
    bool is_embedding = tensors.find(module + ".lora_embedding_A");
    auto find = [&](const char* factor, const char* of_embedding) {
      return tensors.find(module + (is_embedding ? of_embedding : factor));
    };
    const StoredTensor *a = find(".lora_A.weight", ".lora_embedding_A"),
                       *b = find(".lora_B.weight", ".lora_embedding_B");
    shapes.push_back({.name = module,
                      .in = a->shape.empty() ? 0 : a->shape.back(),
                      .out = b && !b->shape.empty() ? b->shape.front() : 0,
                      .layout = is_embedding ? WeightLayout::in_out : layout,
                      .is_embedding = is_embedding});
  }
  return shapes;
}

}  // namespace loragrad
