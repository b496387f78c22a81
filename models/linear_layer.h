#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "lora/adapter.h"
#include "lora/lora_linear.h"

namespace loragrad {

/// The place of one of a model's parameters. Whoever computes with it looks here each time, so it can be replaced after
/// the model has been made.
using ParameterSlot = std::shared_ptr<Parameter>;

/// What a forward pass is told besides the batch.
struct ForwardContext {
  bool training = false;          ///< adapters' dropout is on
  std::uint64_t dropout_key = 0;  ///< of the seed and the step
  Tensor dropout_tokens;          ///< the batch's
  bool checkpoint = false;        ///< blocks keep their input alone for backward, and run again there
  bool again = false;             ///< a block runs for its tape: its output is not read
  /// Shown each linear map's name, input and output, in the order of the pass: for looking into one.
  std::function<void(const std::string& name, const Tensor& x, const Tensor& y)> watch = {};
};

/// One linear map of the model, by its checkpoint name, with the adapters that are active on it.
class LinearLayer {
 public:
  LinearLayer() = default;
  /// `bias` may be null.
  LinearLayer(std::string name, ParameterSlot weight, ParameterSlot bias)
      : name_(std::move(name)), weight_(std::move(weight)), bias_(std::move(bias)) {}

  Tensor operator()(const Tensor& x, const ForwardContext& context) const;
  /// The same for the last map of a block, on which nothing but the block's output depends.
  Tensor last(const Tensor& x, const ForwardContext& context) const;

  LinearShape shape() const;
  const std::string& name() const { return name_; }
  /// Adds an adapter's module with a weight.
  void attach(const LoraModule& module, double weight, double dropout);
  void detach_adapters() { active_.clear(); }

 private:
  Tensor compute(const Tensor& x, const ForwardContext& context, Values values) const;

  struct Active {
    LoraModule module;
    double weight, dropout;
  };
  std::string name_;
  ParameterSlot weight_, bias_;
  std::vector<Active> active_;
};

}  // namespace loragrad
