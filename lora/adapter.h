#pragma once
// Threads: one at a time for each device (engine/device.h).
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "engine/tensor.h"
#include "engine/weight.h"
#include "lora/config.h"
#include "lora/variants.h"

namespace loragrad {

/// A linear map that may be adapted, as the model names it ("model.decoder.layers.0.self_attn.q_proj"; PEFT's name less
/// its "base_model.model." prefix). An embedding is one too: of a token's row of zeros and one 1, whose table
/// [vocab, d] is a weight stored [in, out].
struct LinearShape {
  std::string name;
  std::int64_t in = 0, out = 0;
  WeightLayout layout = WeightLayout::out_in;
  bool has_bias = false;
  Weight weight = {};  ///< the base's, for adapters that start from it; on a meta device its shape alone
  bool is_embedding = false;
  bool is_head = false;  ///< makes the logits
};

/// A [r, in] and B [out, r] of one module, and s; and the tensors that its variant has beside them.
struct LoraModule {
  std::string name;
  Tensor a = {}, b = {};
  double scale = 1;
  WeightLayout layout = WeightLayout::out_in;  ///< of the base's weight; A and B are the same for both
  const LoraVariant* variant = &plain_lora();
  Tensor b_bias = {};       ///< lora_bias: of B, [1, out]
  Tensor magnitude = {};    ///< DoRA: of the rows of W + s B A, [1, out]
  Tensor norm = {};         ///< DoRA: what those rows have, where it is known beforehand, [1, out]
  Tensor a0 = {}, b0 = {};  ///< of a start that changes the base: the base is W - s B0 A0; frozen, shaped as A and B
};

/// A parameter of the base that is trained whole beside an adapter, which then has its values: PEFT's bias and
/// modules_to_save.
struct TrainedParameter {
  std::string name;           ///< as the model has it: "lm_head.weight"
  Tensor values;              ///< f32 (f64 for gradient checks)
  DType stored = DType::f32;  ///< the base's type, which the adapter's file has it in
};

/// Rows of an embedding, or of the head, that are trained beside an adapter and stand in the place of the base's: PEFT's
/// trainable_token_indices.
struct TrainedRows {
  std::string module;  ///< as the model has it: "model.embed_tokens"
  std::vector<std::int32_t> ids;
  Tensor values;  ///< [ids, d], in the order of ids: f32 (f64 for gradient checks)
};

/// PEFT's name of them: "MODULE.token_adapter.trainable_tokens_delta".
std::string rows_name(const std::string& module);

/// A LoRA adapter: its configuration and its modules, in the model's order.
struct Adapter {
  LoraConfig config;
  std::string base_model;  ///< base_model_name_or_path
  std::vector<LoraModule> modules;
  std::vector<TrainedParameter> parameters_of_base = {};
  std::vector<TrainedRows> rows_of_base = {};

  std::int64_t parameters() const;
  std::size_t bytes() const;
  /// What is trained: each module's tensors in order, as its variant names them: "NAME.lora_A.weight",
  /// "NAME.lora_B.weight"; then the base's parameters, then its rows.
  std::vector<std::pair<std::string, Tensor>> tensors() const;
};

/// An adapter, how much of it, and for which rows of a batch: those of this name alone ("": those that name no adapter),
/// or without a name for all.
struct WeightedAdapter {
  Adapter adapter;
  double weight = 1;
  std::optional<std::string> name = {};
};

/// The modules of `all` (in their order) that the targets select. UsageError when a name or the pattern matches
/// nothing, with the nearest names; or when no target is given.
std::vector<LinearShape> match_targets(const TargetModules& targets, const std::vector<LinearShape>& all);

/// A fresh adapter of variant_of(config), trainable: A and B by config.init_lora_weights (lora/initial_factors.h), each
/// module from its own stream (seed, name), so that training starts at the base model. `dtype` f32, or f64 for gradient
/// checks. UsageError where the start takes the base's weights and `all` has none.
Adapter make_adapter(const DevicePtr& device, const LoraConfig& config, const std::vector<LinearShape>& all,
                     std::uint64_t seed, DType dtype = DType::f32);

/// "trainable params: 294,912 || all params: 125,534,208 || trainable%: 0.2349", as PEFT prints it.
std::string trainable_parameters_text(std::int64_t trainable, std::int64_t all);

}  // namespace loragrad
