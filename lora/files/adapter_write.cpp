#include <set>

#include "io/atomic.h"
#include "io/safetensors.h"
#include "lora/files/adapter_config_json.h"
#include "lora/files/adapter_file.h"
#include "lora/files/adapter_names.h"
#include "lora/files/adapter_to_write.h"
#include "lora/merge/on_original_base.h"
#include "lora/merge/rounded_values.h"
#include "lora/saved_modules.h"
#include "lora/trained_rows.h"

namespace loragrad {
namespace {

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
    files.tensors.push_back({adapter_prefix + name, dtype, shape});
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
  write_safetensors(folder + adapter_tensor_file, tensors);
  write_file(folder + adapter_config_file, files.config);
}

void save_adapter(const Adapter& adapter, const std::string& folder) {
  write_adapter(adapter_to_write(adapter), folder);
}

}  // namespace loragrad
