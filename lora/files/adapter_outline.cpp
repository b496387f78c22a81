#include "lora/files/adapter_outline.h"

#include <memory>

#include "io/json.h"
#include "lora/head_name.h"

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
                      .is_embedding = is_embedding,
                      .is_head = module == head_module});
  }
  return shapes;
}

FindBaseTensor tables_beside(const std::vector<std::string>& folders) {
  struct Tables {
    std::vector<AdapterTensors> files;  // which the tensors are in
    std::map<std::string, const StoredTensor*> by_name;
  };
  auto tables = std::make_shared<Tables>();
  for (const std::string& folder : folders) {
    require_adapter_folder(folder);
    const AdapterTensors& file = tables->files.emplace_back(folder);
    for (const std::string& module : file.modules())
      if (const StoredTensor* table = file.find(module + ".base_layer.weight");
          table && (file.find(module + ".lora_embedding_A") || module == head_module))
        tables->by_name.emplace(module + ".weight", table);
  }
  return [tables](const std::string& name) -> const StoredTensor* {
    auto found = tables->by_name.find(name);
    return found == tables->by_name.end() ? nullptr : found->second;
  };
}

}  // namespace loragrad
