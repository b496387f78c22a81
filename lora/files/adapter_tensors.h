#pragma once
// Threads: values and functions of their arguments alone; any thread may use them.
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "engine/tensor.h"
#include "io/safetensors.h"

namespace loragrad {

/// Before a folder's files are opened: IoError or InputError where it is no PEFT adapter's, which says what lies there
/// instead (a model, an adapter within, a pickle, mlx's files) and what to do with it.
void require_adapter_folder(const std::string& folder);

/// The tensors of an adapter folder's adapter_model.safetensors, or of the adapter_model.bin of older versions, by the names that the model has for them: without
/// PEFT's "base_model.model.", and without the adapter's own name, which the state dict of PEFT's model has in them
/// ("q_proj.lora_A.default.weight").
class AdapterTensors {
 public:
  /// InputError for a file of two adapters, or of two tensors with one name.
  explicit AdapterTensors(const std::string& folder);
  AdapterTensors(AdapterTensors&&) = default;

  const std::string& path() const { return path_; }
  const StoredTensors& file() const { return file_; }
  /// "NAME.lora_A.weight", "NAME.lora_B.weight"; null where there is none.
  const StoredTensor* find(const std::string& name) const;
  /// All that are PEFT's, by name.
  const std::map<std::string, const StoredTensor*>& all() const { return tensors_; }
  /// Those without PEFT's prefix.
  const std::vector<const StoredTensor*>& others() const { return others_; }
  /// The modules that have an A, sorted.
  std::vector<std::string> modules() const;

 private:
  std::string path_;
  StoredTensors file_;
  std::map<std::string, const StoredTensor*> tensors_;
  std::vector<const StoredTensor*> others_;
};

/// A tensor of the file `path` on a device, as a matrix of another type. InputError for NaN and Inf.
Tensor read_tensor(const StoredTensor& stored, const Shape& shape, const DevicePtr& device, DType dtype, bool trainable,
                   const std::string& path);

/// A base's tensors by parameters' names ("model.embed_tokens.weight"); null for a name that it does not have.
using FindBaseTensor = std::function<const StoredTensor*(const std::string& name)>;

/// PEFT stores parameters of the base beside an adapter: embeddings, "....base_layer.weight", a whole state dict. The
/// base's tensor that `name` of an adapter's file repeats; null where it repeats none.
const StoredTensor* repeated_tensor(const std::string& name, const FindBaseTensor& base);
/// Whether a tensor has a base's values: exactly, or rounded to its own type.
bool has_values_of(const StoredTensor& tensor, const StoredTensor& base);

}  // namespace loragrad
