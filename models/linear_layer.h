#pragma once
// Threads: one at a time for each device (engine/device.h).
#include <initializer_list>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "engine/parameter.h"
#include "lora/lora_linear.h"
#include "models/pass.h"

namespace loragrad {

/// The place of one of a model's parameters. Whoever computes with it looks here each time, so it can be replaced after
/// the model has been made.
using ParameterSlot = std::shared_ptr<Parameter>;

/// One linear map of the model, by its stored name. In a pass the adapters that are active on it are added.
class LinearLayer {
 public:
  LinearLayer() = default;
  /// `bias` may be null.
  LinearLayer(std::string name, ParameterSlot weight, ParameterSlot bias)
      : name_(std::move(name)), weight_(std::move(weight)), bias_(std::move(bias)) {}

  Tensor operator()(const Tensor& x, const Pass& pass) const;
  /// The results of several that read the same x, whose adapters read it once.
  static std::vector<Tensor> together(std::initializer_list<const LinearLayer*> layers, const Tensor& x,
                                      const Pass& pass);

  LinearShape shape() const;
  const std::string& name() const { return name_; }

 private:
  LoraMap map(const Pass& pass) const;

  std::string name_;
  ParameterSlot weight_, bias_;
};

}  // namespace loragrad
