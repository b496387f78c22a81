#include "models/files/base_tensors.h"

#include <cstring>

#include "lora/text_part.h"
#include "models/families/family.h"

namespace loragrad {

const StoredTensor* find_stored(const StoredTensors& file, const std::string& name, const std::string& base_prefix) {
  if (const StoredTensor* stored = file.find(name)) return stored;
  std::string other = name.starts_with(base_prefix) ? name.substr(base_prefix.size()) : base_prefix + name;
  if (const StoredTensor* stored = file.find(other)) return stored;
  for (Spelling spelling : {Spelling::in_files, Spelling::part, Spelling::itself})
    if (const StoredTensor* stored = file.find(spelled(name, spelling))) return stored;
  return name == head_name ? file.find("embed_out.weight") : nullptr;
}

bool is_parameter_dtype(const StoredTensor& tensor) {
  const std::string& name = tensor.dtype_name;
  return name == "F32" || name == "F64" || name == "BF16" || name == "F16";
}

BaseTensors::BaseTensors(const CausalLm& model, const std::string& folder)
    : file_(open_model_folder(folder)),
      base_prefix_(family_named(model.config().model_type).base_prefix),
      embedding_(model.embedding_name() + ".weight"),
      tied_(model.config().tie_word_embeddings) {}

const StoredTensor* BaseTensors::find_tied(const std::string& name) const {
  const StoredTensor* stored = find(name);
  if (!stored && tied_ && name == head_name) stored = find(embedding_);
  if (!stored && tied_ && spelled(name, Spelling::itself) == spelled(embedding_, Spelling::itself))
    stored = find(head_name);
  return stored;
}

bool BaseTensors::is_tied() const {
  const StoredTensor *own = find(head_name), *other = find(embedding_);
  if (!tied_ || !own || !other) return tied_;
  return own->dtype_name == other->dtype_name && own->shape == other->shape &&
         std::memcmp(own->bytes, other->bytes, own->byte_count) == 0;
}

}  // namespace loragrad
