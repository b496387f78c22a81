#pragma once
#include <utility>
#include <vector>

#include "engine/tensor.h"

namespace loragrad {

/// While it lives, the given leaves need no gradient, so that a forward pass records nothing and keeps nothing.
class FrozenWhile {
 public:
  explicit FrozenWhile(std::vector<Tensor> tensors) : tensors_(std::move(tensors)) {
    std::erase_if(tensors_, [](const Tensor& t) { return !t.impl()->trainable; });
    for (const Tensor& t : tensors_) t.impl()->trainable = false;
  }
  FrozenWhile(const FrozenWhile&) = delete;
  FrozenWhile& operator=(const FrozenWhile&) = delete;
  ~FrozenWhile() {
    for (const Tensor& t : tensors_) t.impl()->trainable = true;
  }

 private:
  std::vector<Tensor> tensors_;
};

}  // namespace loragrad
