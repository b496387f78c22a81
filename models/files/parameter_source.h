#pragma once
#include <memory>
#include <string>
#include <vector>

#include "io/safetensors.h"
#include "lora/text_part.h"
#include "models/blocks.h"
#include "models/model.h"

namespace loragrad {

/// What a fresh parameter starts as.
enum class Start { matrix, residual_matrix, one, zero };

/// Where a family's constructor gets its parameters: a model folder's tensors, or fresh ones. Asks by stored name and
/// shape.
class ParameterSource {
 public:
  /// `text_part`: the model is a part of another, and names are those that it has there (lora/text_part.h).
  explicit ParameterSource(bool text_part = false) : text_part_(text_part) {}
  virtual ~ParameterSource() = default;
  /// A matrix [rows, cols].
  virtual ParameterSlot matrix(const std::string& name, Shape shape, WeightLayout layout, Start start) = 0;
  /// A vector [n], in f32 (f64 when computing in f64).
  virtual ParameterSlot vector(const std::string& name, std::int64_t n, Start start) = 0;
  /// An embedding's matrix. A tied model may store it as the head's alone.
  virtual ParameterSlot table(const std::string& name, Shape shape, bool tied) = 0;
  /// The head: its own where the folder stores one, else the embedding's matrix when tied.
  virtual ParameterSlot head(Shape shape, const EmbeddingLayer& embedding, bool tied) = 0;
  /// Called last: throws one InputError about everything missing, unexpected or mis-shaped.
  virtual void finish() {}

  /// The embedding named `name` ("model.embed_tokens").
  EmbeddingLayer embedding(const std::string& name, Shape shape, bool tied) {
    return {in_model(name), table(name + ".weight", shape, tied)};
  }
  /// A linear map named `name` ("....q_proj"), with or without a bias.
  LinearLayer linear(const std::string& name, std::int64_t in, std::int64_t out, bool bias, Start start = Start::matrix,
                     WeightLayout layout = WeightLayout::out_in);
  /// A norm's parameters of width n: NAME.weight and, of a LayerNorm, NAME.bias.
  LayerNorm layer_norm(const std::string& name, std::int64_t n, double eps);
  /// With an offset its weight is stored without it.
  RmsNorm rms_norm(const std::string& name, std::int64_t n, double eps, double offset = 0);
  /// What is not as config.json says, though it can be computed: a line each.
  virtual std::vector<std::string> warnings() const { return {}; }
  std::vector<NamedParameter> take() { return std::move(parameters_); }

 protected:
  std::string in_model(const std::string& name) const { return text_part_ ? spelled(name, Spelling::part) : name; }
  ParameterSlot keep(const std::string& name, Parameter parameter) {
    return parameters_.emplace_back(in_model(name), std::make_shared<Parameter>(std::move(parameter))).second;
  }
  bool text_part_;
  std::vector<NamedParameter> parameters_;
};

struct Family;

/// From the tensors of a model folder. The family's base prefix ("model.", "transformer.") may be missing from names in
/// the file, or be before those that have none; its ignored buffers may be there, and of a text part the other parts'
/// tensors. `compute`: the type of products.
std::unique_ptr<ParameterSource> stored_source(const std::string& folder, StoredTensors file, const DevicePtr& device,
                                               const LoadOptions& options, DType compute, const Family& family,
                                               bool text_part);
/// The dtype most bytes of a folder's tensors have.
DType stored_dtype(const StoredTensors& file);
/// Fresh trainable parameters: normal(0, 0.02), residual projections divided by sqrt(2 layers), each from its own
/// stream (seed, name).
std::unique_ptr<ParameterSource> fresh_source(const DevicePtr& device, std::uint64_t seed, std::int64_t layers);

}  // namespace loragrad
