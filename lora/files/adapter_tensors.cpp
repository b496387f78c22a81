#include "lora/files/adapter_tensors.h"

#include <algorithm>
#include <cstring>
#include <set>
#include <string_view>

#include "engine/error.h"
#include "engine/half.h"
#include "engine/place.h"
#include "io/json.h"
#include "io/mapped_file.h"
#include "io/stored_values.h"
#include "io/torch_file.h"
#include "lora/head_name.h"
#include "lora/variant.h"
#include "ops/l2_norm.h"

namespace loragrad {
namespace {

constexpr std::string_view prefix = "base_model.model.";

/// A tensor's name as the model has it, and the adapter's that stood in it.
struct Name {
  std::string text, adapter;
};

Name name_of(const std::string& stored) {
  std::string name = with_new_head_name(stored.substr(prefix.size()));
  const std::string of_rows = rows_name("").substr(1);
  std::vector<std::string_view> ends{of_rows};
  for (const LoraVariant* variant : all_variants())
    for (const VariantTensor& tensor : variant->tensors()) ends.push_back(tensor.name);
  for (std::string_view tensor : ends) {
    // ".lora_A.", the adapter's name, ".weight"; where PEFT's files have no ".weight" its model has one
    std::size_t last_dot = tensor == of_rows ? tensor.size() : std::min(tensor.rfind('.'), tensor.size());
    std::string begin = "." + std::string(tensor.substr(0, last_dot)) + ".";
    std::string_view end = tensor.substr(last_dot);
    std::size_t at = name.rfind(begin);
    if (at == std::string::npos) continue;
    std::string found = name.substr(0, at) + "." + std::string(tensor), rest = name.substr(at + begin.size());
    if (end.empty() && rest == "weight") return {found, ""};
    std::size_t dot = std::min(rest.find('.'), rest.size());
    if (rest.substr(dot) == end || (end.empty() && rest.substr(dot) == ".weight")) return {found, rest.substr(0, dot)};
  }
  return {name, ""};
}

/// Where both are there, the one that PEFT reads.
std::string file_of(const std::string& folder) {
  std::string pickled = folder + "/adapter_model.bin", file = folder + "/adapter_model.safetensors";
  return is_there(pickled) && !is_there(file) ? pickled : file;
}

double rounded(double value, DType dtype) {
  if (dtype == DType::f64) return value;
  auto narrow = static_cast<float>(value);
  if (dtype == DType::bf16) return double{static_cast<float>(bf16(narrow))};
  if (dtype == DType::f16) return double{static_cast<float>(to_f16(narrow))};
  return double{narrow};
}

}  // namespace

AdapterTensors::AdapterTensors(const std::string& folder)
    : path_(file_of(folder)), file_(path_.ends_with(".bin") ? open_torch_file(path_) : open_safetensors(path_)) {
  std::set<std::string> adapters;
  for (const StoredTensor& tensor : file_.tensors) {
    if (!tensor.name.starts_with(prefix)) {
      others_.push_back(&tensor);
      continue;
    }
    Name name = name_of(tensor.name);
    if (!name.adapter.empty()) adapters.insert(name.adapter);
    if (adapters.size() > 1)
      throw InputError(path_ + ": expected one adapter, found several: " + escaped(*adapters.begin(), 100) + ", " +
                       escaped(*adapters.rbegin(), 100));
    if (!tensors_.emplace(name.text, &tensor).second)
      throw InputError(path_ + ": expected one tensor of each name, found " +
                       escaped(tensors_.at(name.text)->name, 200) + " and " + escaped(tensor.name, 200));
  }
}

const StoredTensor* AdapterTensors::find(const std::string& name) const {
  auto found = tensors_.find(name);
  return found == tensors_.end() ? nullptr : found->second;
}

std::vector<std::string> AdapterTensors::modules() const {
  std::vector<std::string> names;
  for (const auto& [name, tensor] : tensors_)
    for (std::string_view end : {".lora_A.weight", ".lora_embedding_A"})
      if (name.ends_with(end)) names.push_back(name.substr(0, name.size() - end.size()));
  return names;
}

Tensor read_tensor(const StoredTensor& stored, const Shape& shape, const DevicePtr& device, DType dtype, bool trainable,
                   const std::string& path) {
  Tensor tensor = place(device, stored.host_bytes(), stored.dtype(), shape, stored.dtype()).to_tensor(dtype);
  if (!is_finite(tensor)) throw InputError(path + ": " + stored.name + ": expected finite numbers, found NaN or Inf");
  if (trainable) tensor.set_trainable();
  return tensor;
}

const StoredTensor* repeated_tensor(const std::string& name, const FindBaseTensor& base) {
  if (!base) return nullptr;
  std::string plain = name;
  // What PEFT puts around a module that it adapts, or trains whole.
  for (std::string_view wrapped : {".base_layer.", ".original_module.", ".modules_to_save.default."})
    if (std::size_t at = plain.rfind(wrapped); at != std::string::npos) plain.replace(at, wrapped.size(), ".");
  return base(plain);
}

bool has_values_of(const StoredTensor& tensor, const StoredTensor& base) {
  if (tensor.shape != base.shape) return false;
  DType dtype = tensor.dtype(), base_dtype = base.dtype();
  if (dtype == base_dtype) return std::memcmp(tensor.bytes, base.bytes, base.byte_count) == 0;
  std::size_t count = base.byte_count / size_of(base_dtype);
  for (std::size_t i = 0; i < count; ++i)
    if (stored_value(tensor.bytes, dtype, i) != rounded(stored_value(base.bytes, base_dtype, i), dtype)) return false;
  return true;
}

}  // namespace loragrad
