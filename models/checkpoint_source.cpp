#include <cstring>
#include <map>
#include <set>

#include "engine/error.h"
#include "io/safetensors.h"
#include "io/tensor_complaints.h"
#include "models/parameter.h"
#include "models/parameter_source.h"

namespace loragrad {
namespace {

bool ends_with(const std::string& text, std::string_view end) {
  return text.size() >= end.size() && text.compare(text.size() - end.size(), end.size(), end) == 0;
}

/// Buffers that old checkpoints carry and nobody needs (MODELS: GPT-2's masks, rotary frequencies).
bool is_known_buffer(const std::string& name) {
  return ends_with(name, ".attn.bias") || ends_with(name, ".attn.masked_bias") ||
         ends_with(name, ".rotary_emb.inv_freq");
}

class CheckpointSource final : public ParameterSource {
 public:
  CheckpointSource(const std::string& folder, DevicePtr device, const LoadOptions& options, DType vectors,
                   std::string prefix)
      : folder_(folder),
        file_(open_model_folder(folder)),
        device_(std::move(device)),
        trainable_(options.trainable),
        vectors_(vectors),
        prefix_(std::move(prefix)) {}

  Parameter matrix(const std::string& name, Shape shape, WeightLayout layout, Start) override {
    const StoredTensor* stored = find(name);
    if (!stored || !fits(*stored, {shape.rows, shape.cols})) return missing(name, stored, shape);
    return keep(name, parameter(*stored, shape, layout, stored->dtype()));
  }

  Parameter vector(const std::string& name, std::int64_t n, Start) override {
    const StoredTensor* stored = find(name);
    if (!stored || !fits(*stored, {n})) return missing(name, stored, {1, n});
    return keep(name, parameter(*stored, {1, n}, WeightLayout::out_in, vectors_));
  }

  Parameter head(const std::string& name, Shape shape, const Parameter& embedding, const std::string& embedding_name,
                 bool tied) override {
    const StoredTensor* own = find(name);
    if (!own && tied) return embedding;
    // A tied model may store its head as well: a copy stays tied, a different one is what transformers would use.
    if (own && tied && same_bytes(*own, find(embedding_name))) return embedding;
    return matrix(name, shape, WeightLayout::out_in, Start::matrix);
  }

  void finish() override {
    for (const StoredTensor& tensor : file_.tensors)
      if (!used_.contains(tensor.name) && !is_known_buffer(tensor.name)) complaints_.unexpected(tensor.name);
    if (std::string wrong = complaints_.text(); !wrong.empty())
      throw InputError(folder_ + ": expected the tensors that config.json calls for, found " + wrong);
  }

 private:
  const StoredTensor* find(const std::string& name) {
    const StoredTensor* stored = file_.find(name);
    if (!stored && name.starts_with(prefix_)) stored = file_.find(name.substr(prefix_.size()));
    if (stored) used_.insert(stored->name);
    return stored;
  }
  static bool fits(const StoredTensor& stored, const std::vector<std::int64_t>& shape) { return stored.shape == shape; }

  Parameter missing(const std::string& name, const StoredTensor* stored, Shape shape) {
    std::string expected = shape.rows == 1 ? "[" + std::to_string(shape.cols) + "]" : shape.text();
    if (stored)
      complaints_.shape(name, expected, stored->shape_text());
    else
      complaints_.missing(name);
    return Weight();
  }

  Parameter parameter(const StoredTensor& stored, Shape shape, WeightLayout layout, DType dtype) {
    const void* data = device_->is_meta() ? nullptr : stored.bytes;
    Weight weight(device_, data, stored.dtype(), shape, stored.file, layout);
    if (!trainable_) return weight.to(dtype);
    Tensor copy = weight.to_tensor(vectors_);
    return copy.set_trainable();
  }

  /// Of the stored tensors: what was made of the embedding may be a copy to train, or have no memory.
  bool same_bytes(const StoredTensor& a, const StoredTensor* b) const {
    if (!b || a.dtype_name != b->dtype_name || a.shape != b->shape) return false;
    bool same = std::memcmp(a.bytes, b->bytes, a.byte_count) == 0;
    // A forecast counts what the process holds, and the weights beside it.
    if (device_->is_meta())
      for (const StoredTensor* read : {&a, b}) read->file->let_go(read->bytes, read->byte_count);
    return same;
  }

  std::string folder_;
  SafetensorsFile file_;
  DevicePtr device_;
  bool trainable_;
  DType vectors_;
  std::string prefix_;
  std::set<std::string> used_;
  TensorComplaints complaints_;
};

}  // namespace

std::unique_ptr<ParameterSource> checkpoint_source(const std::string& folder, const DevicePtr& device,
                                                   const LoadOptions& options, DType vectors,
                                                   const std::string& base_prefix) {
  return std::make_unique<CheckpointSource>(folder, device, options, vectors, base_prefix);
}

DType stored_dtype(const std::string& folder) {
  std::map<DType, std::size_t> bytes;
  for (const StoredTensor& tensor : open_model_folder(folder).tensors)
    if (tensor.dtype_name == "F32" || tensor.dtype_name == "BF16" || tensor.dtype_name == "F16" ||
        tensor.dtype_name == "F64")
      bytes[tensor.dtype()] += tensor.byte_count;
  DType most = DType::f32;
  for (auto [dtype, count] : bytes)
    if (count > bytes[most]) most = dtype;
  return most;
}

}  // namespace loragrad
