#pragma once
#include <string>

#include "io/safetensors.h"
#include "models/model.h"

namespace loragrad {

/// The tensor of a parameter: a file may leave out the family's base prefix ("model.", models/families/family.h), or have it
/// before a name without it ("model.lm_head.weight"); a text part is spelled in several ways (lora/text_part.h); GPT-NeoX's call the head embed_out, as nobody else does. Null where
/// there is none.
const StoredTensor* find_stored(const StoredTensors& file, const std::string& name, const std::string& base_prefix);

/// Whether a parameter can be made of a tensor. Buffers of old files, such as boolean masks, are of other types.
bool is_parameter_dtype(const StoredTensor& tensor);

/// A model folder's tensors as its file has them, asked for by parameters' names. `model` may be an outline on a meta
/// device.
class BaseTensors {
 public:
  BaseTensors(const CausalLm& model, const std::string& folder);
  const StoredTensors& file() const { return file_; }
  const StoredTensor* find(const std::string& name) const { return find_stored(file_, name, base_prefix_); }
  /// The same for a model in memory: of a tied head and its embedding each is found by the other's name.
  const StoredTensor* find_tied(const std::string& name) const;
  /// Whether the head is the embedding: as config.json says, and no head of other values is stored.
  bool is_tied() const;
  /// The embedding's parameter.
  const std::string& embedding_name() const { return embedding_; }

 private:
  StoredTensors file_;
  std::string base_prefix_, embedding_;
  bool tied_;
};

}  // namespace loragrad
