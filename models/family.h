#pragma once
#include <memory>
#include <string>

#include "models/config_reader.h"
#include "models/model.h"
#include "models/parameter_source.h"
#include "ops/norm.h"

namespace loragrad {

/// What a model is built on: its configuration, its device, the type it computes in and where its parameters come from.
struct ModelParts {
  ModelConfig config;
  DevicePtr device;
  DType dtype = DType::f32;
  ParameterSource* source = nullptr;
};

/// One model family: how its config is read and its model built.
struct Family {
  std::string model_type;   ///< config.json's
  std::string base_prefix;  ///< of the checkpoint names, which some files leave out
  TargetModules targets;    ///< PEFT's default
  ModelConfig (*read_config)(ConfigReader& read);
  std::unique_ptr<CausalLm> (*build)(const ModelParts& parts);
};

Family opt_family();
Family gpt2_family();
Family llama_family();
/// UsageError for a model type that is none of these.
const Family& family_named(const std::string& model_type);

/// The shared parts of a decoder: what every family's class starts from.
class Decoder : public CausalLm {
 protected:
  explicit Decoder(const ModelParts& parts);
  /// Registers the layers that may be adapted, in the order of the forward pass.
  void adaptable(std::initializer_list<LinearLayer*> layers) { linears_.insert(linears_.end(), layers); }
  /// The type of the residual stream: f32, or f64 when computing in f64.
  DType residual() const { return dtype_ == DType::f64 ? DType::f64 : DType::f32; }
  /// x through all blocks, in order; with context.checkpoint each is one node that keeps its input
  /// (engine/checkpoint.h).
  Tensor through_blocks(Tensor x, const Batch& batch, const ForwardContext& context, KeyValueCache* cache) const;
  /// One transformer block, `layer` from 0. The values are the same whenever it runs.
  virtual Tensor block(const Tensor& x, std::size_t layer, const Batch& batch, const ForwardContext& context,
                       KeyValueCache* cache) const = 0;
  /// Attention of one layer, through the cache where there is one.
  Tensor attend(const Tensor& q, const Tensor& k, const Tensor& v, const Batch& batch, const AttentionConfig& config,
                std::size_t layer, KeyValueCache* cache) const;
};

/// A LayerNorm's two vectors.
struct LayerNorm {
  ParameterSlot weight, bias;
  double eps = 1e-5;
  Tensor operator()(const Tensor& x, DType dtype) const { return layer_norm(x, *weight, *bias, eps, dtype); }
};

/// positions + offset, for learned tables that do not start at 0.
Tensor shifted(const Tensor& positions, std::int32_t offset);

}  // namespace loragrad
