#include <algorithm>
#include <cstring>
#include <map>
#include <set>

#include "engine/error.h"
#include "engine/place.h"
#include "io/safetensors.h"
#include "io/tensor_complaints.h"
#include "models/families/family.h"
#include "models/files/base_tensors.h"
#include "models/files/parameter_source.h"

namespace loragrad {
namespace {

class StoredSource final : public ParameterSource {
 public:
  StoredSource(const std::string& folder, StoredTensors file, DevicePtr device, const LoadOptions& options,
               DType compute, const Family& family, bool text_part)
      : ParameterSource(text_part),
        folder_(folder),
        file_(std::move(file)),
        device_(std::move(device)),
        trainable_(options.trainable),
        compute_(compute),
        vectors_(accumulation_type(compute)),
        prefix_(family.base_prefix),
        buffers_(family.ignored_buffers) {}

  ParameterSlot matrix(const std::string& name, Shape shape, WeightLayout layout, Start) override {
    return matrix_from(find(name), name, shape, layout);
  }

  ParameterSlot vector(const std::string& name, std::int64_t n, Start) override {
    const StoredTensor* stored = find(name);
    if (!stored || !fits(*stored, {n})) return missing(name, stored, {1, n});
    return keep(name, parameter(*stored, {1, n}, WeightLayout::out_in, vectors_));
  }

  ParameterSlot table(const std::string& name, Shape shape, bool tied) override {
    const StoredTensor* stored = find(name);
    if (!stored && tied) stored = find(head_name);
    return matrix_from(stored, name, shape, WeightLayout::out_in);
  }

  ParameterSlot head(Shape shape, const EmbeddingLayer& embedding, bool tied) override {
    const StoredTensor *own = find(head_name), *other = find(embedding.name() + ".weight");
    // A tied model may store its head as well: a copy stays tied, a different one is what transformers would use.
    if (tied && (!own || !other || same_bytes(*own, *other))) return embedding.table();
    if (tied)
      warnings_.push_back(folder_ + ": " + own->name + ": differs from " + other->name +
                          " although config.json ties them: both are used, as transformers does");
    return matrix_from(own, head_name, shape, WeightLayout::out_in);
  }

  std::vector<std::string> warnings() const override { return warnings_; }

  void finish() override {
    for (const StoredTensor& tensor : file_.tensors)
      if (!used_.contains(tensor.name) && !is_ignored(tensor.name) && !is_of_others(tensor.name))
        complaints_.unexpected(tensor.name);
    if (std::string wrong = complaints_.text(); !wrong.empty())
      throw InputError(folder_ + ": expected the tensors that config.json calls for, found " + wrong);
  }

 private:
  bool is_ignored(const std::string& name) const {
    return std::any_of(buffers_.begin(), buffers_.end(), [&](const auto& end) { return name.ends_with(end); });
  }
  bool is_of_others(const std::string& name) const { return text_part_ && !is_in_text_part(name); }
  const StoredTensor* find(const std::string& name) {
    const StoredTensor* stored = find_stored(file_, in_model(name), prefix_);
    if (stored) used_.insert(stored->name);
    return stored;
  }
  ParameterSlot matrix_from(const StoredTensor* stored, const std::string& name, Shape shape, WeightLayout layout) {
    if (!stored || !fits(*stored, {shape.rows, shape.cols})) return missing(name, stored, shape);
    return keep(name, parameter(*stored, shape, layout, kept_as(stored->dtype())));
  }
  /// A device with its own memory gets f16, which it does not multiply, and what is wider than its products converted
  /// once. Elsewhere a file is read as it lies.
  DType kept_as(DType stored) const {
    bool converted = stored == DType::f16 || (stored == DType::f32 && compute_ == DType::bf16);
    return converted && !device_->shares_host_memory() ? compute_ : stored;
  }
  static bool fits(const StoredTensor& stored, const std::vector<std::int64_t>& shape) { return stored.shape == shape; }

  ParameterSlot missing(const std::string& name, const StoredTensor* stored, Shape shape) {
    std::string expected = shape.rows == 1 ? "[" + std::to_string(shape.cols) + "]" : shape.text();
    if (stored)
      complaints_.shape(stored->name, expected, stored->shape_text());
    else
      complaints_.missing(in_model(name));
    return std::make_shared<Parameter>();
  }

  Parameter parameter(const StoredTensor& stored, Shape shape, WeightLayout layout, DType dtype) {
    auto placed = [&](DType wanted) {
      return place(device_, stored.host_bytes(), stored.dtype(), shape, wanted, layout);
    };
    if (!trainable_) return placed(dtype);
    Tensor copy = placed(stored.dtype()).to_tensor(vectors_);
    return {copy.set_trainable(), layout};
  }

  /// Of the stored tensors: what was made of the embedding may be a copy to train, or have no memory.
  bool same_bytes(const StoredTensor& a, const StoredTensor& b) const {
    if (a.dtype_name != b.dtype_name || a.shape != b.shape) return false;
    if (a.bytes == b.bytes) return true;  // one storage of a pytorch_model.bin
    bool same = std::memcmp(a.bytes, b.bytes, a.byte_count) == 0;
    // A forecast counts what the process holds, and the weights beside it.
    if (device_->is_meta())
      for (const StoredTensor* read : {&a, &b}) read->let_go();
    return same;
  }

  std::string folder_;
  StoredTensors file_;
  DevicePtr device_;
  bool trainable_;
  DType compute_, vectors_;
  std::string prefix_;
  std::vector<std::string> buffers_;
  std::set<std::string> used_;
  TensorComplaints complaints_;
  std::vector<std::string> warnings_;
};

}  // namespace

std::unique_ptr<ParameterSource> stored_source(const std::string& folder, StoredTensors file, const DevicePtr& device,
                                               const LoadOptions& options, DType compute, const Family& family,
                                               bool text_part) {
  return std::make_unique<StoredSource>(folder, std::move(file), device, options, compute, family, text_part);
}

DType stored_dtype(const StoredTensors& file) {
  std::map<DType, std::size_t> bytes;
  for (const StoredTensor& tensor : file.tensors)
    if (is_parameter_dtype(tensor)) bytes[tensor.dtype()] += tensor.byte_count;
  DType most = DType::f32;
  for (auto [dtype, count] : bytes)
    if (count > bytes[most]) most = dtype;
  return most;
}

}  // namespace loragrad
