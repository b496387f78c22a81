#pragma once
// Threads: passes only read a model, but run on its device, one at a time (engine/device.h).
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "lora/adapter.h"
#include "lora/head_name.h"
#include "models/batch.h"
#include "models/config.h"
#include "models/embedding_layer.h"
#include "ops/cross_entropy_with_rows.h"

namespace loragrad {

/// Type of activations and products; `automatic` is the model file's own: bf16 for bf16 and f16 files where the
/// processor multiplies bf16, else f32. f64 is for gradient checks.
enum class Precision { automatic, f32, bf16, f64 };

using NamedParameter = std::pair<std::string, ParameterSlot>;

/// A decoder-only language model. Passes do not change it. The base is frozen (its weights are the mapped file) unless
/// it was made trainable.
class CausalLm {
 public:
  virtual ~CausalLm() = default;

  const ModelConfig& config() const { return config_; }
  const DevicePtr& device() const { return device_; }
  DType compute_dtype() const { return dtype_; }
  /// The dtype most of the file's bytes have.
  DType stored_dtype() const { return stored_dtype_; }

  /// Final hidden states (after the last norm and projection), [tokens, d]. UsageError where the pass's adapters are
  /// named for another number of rows.
  Tensor hidden(const Pass& pass) const;
  /// Sum over supervised tokens / denominator.
  CrossEntropy loss(const Pass& pass, double denominator) const;
  /// The same of the hidden states that the pass gave.
  CrossEntropy loss(const Tensor& hidden, const Pass& pass, double denominator) const;
  /// Logits of every token, [tokens, vocab] f32 (f64 when computing in f64); for evaluation only, no tape.
  Tensor logits(const Pass& pass) const { return logits(hidden(pass), pass, pass.rows_alone); }
  /// The same of hidden states that the pass gave: all, or those of its last tokens. rows_alone as in a Pass, whose own
  /// does not count.
  Tensor logits(const Tensor& hidden, const Pass& pass, bool rows_alone = false) const;

  /// The linear maps an adapter may target, in the order of the forward pass; the head is not among them.
  std::vector<LinearShape> linear_shapes() const;
  /// All that an adapter may target: the embedding, these, and the head, which is one of its own where they are tied.
  std::vector<LinearShape> adaptable_shapes() const;
  /// Adapters for a pass. InputError where one has a module that is none of them.
  ActiveAdapters activate(const std::vector<WeightedAdapter>& adapters) const;
  ActiveAdapters activate(const Adapter& adapter, double weight = 1) const { return activate({{adapter, weight}}); }

  /// All parameters by their stored names, in the order of the layers (a tied head once).
  const std::vector<NamedParameter>& parameters() const { return parameters_; }
  /// Puts another parameter in the place of one, such as a copy to train. A tied head ("lm_head.weight") is a place of
  /// its own from then on. UsageError for a name that the model does not have, or another shape, layout or device.
  /// Not between a pass and its backward: what is computed again would be of the new one.
  void replace(const std::string& name, Parameter parameter);
  /// Puts rows that are trained by themselves in the place of the embedding's and, where they are tied, the head's; or
  /// of a head of its own ("lm_head"). UsageError for another module, or where the parameter is in training itself.
  void replace(const TrainedRows& rows);
  /// [vocab, d]; the embedding's where they are tied.
  const Parameter& head() const { return *head_; }
  bool is_tied() const { return embedding_->table() == head_; }
  /// The embedding's module, by its stored name: "model.embed_tokens".
  const std::string& embedding_name() const { return embedding_->name(); }
  const Parameter& embedding_table() const { return *embedding_->table(); }
  std::int64_t parameter_count() const;
  std::size_t parameter_bytes() const;
  /// The trainable ones (none for a frozen base).
  std::vector<std::pair<std::string, Tensor>> trainable() const;

  /// Room for `places` rows of up to `capacity` tokens.
  KeyValueCache make_cache(std::int64_t capacity, std::int64_t places = 1) const;

 protected:
  virtual Tensor forward(const Pass& pass) const = 0;
  /// The same, after which a cache has the batch's tokens. UsageError for a batch that was not made for it as it is.
  Tensor run(const Pass& pass) const;
  /// The head with the pass's adapters, for its last `tokens`.
  LoraMap head_map(const Pass& pass, std::int64_t tokens) const;

  friend class ModelAssembly;
  ModelConfig config_;
  DevicePtr device_;
  DType dtype_ = DType::f32, stored_dtype_ = DType::f32;
  std::vector<NamedParameter> parameters_;
  std::vector<LinearLayer*> linears_;
  EmbeddingLayer* embedding_ = nullptr;
  ParameterSlot head_;
  std::shared_ptr<const HeadWithRows> head_rows_;  // where some of its rows are others
};

struct LoadOptions {
  Precision precision = Precision::automatic;
  bool trainable = false;  ///< all parameters are tensors in f32 (--full)
};

/// Opens a Hugging Face model folder (config.json, model.safetensors or shards). Config and tensors are checked against
/// each other; all missing, unexpected and mis-shaped tensors are one InputError. UsageError for bf16 where the
/// processor has none. On a meta device shapes are read and no weight is touched.
std::unique_ptr<CausalLm> load_model(const std::string& folder, const DevicePtr& device,
                                     const LoadOptions& options = {});

/// A model with fresh parameters (normal(0, 0.02), residual projections scaled by 1/sqrt(2 layers), norms 1, biases 0),
/// all trainable.
std::unique_ptr<CausalLm> new_model(const std::string& config_json_file, const DevicePtr& device, std::uint64_t seed);

/// PEFT's default targets of a family: c_attn for gpt2, q_proj and v_proj for the others.
TargetModules default_targets(const std::string& model_type);

}  // namespace loragrad
