#include "train/train_state.h"

#include <memory>
#include <utility>

namespace loragrad {

void TrainState::copy_values() {
  for (auto* tensors : {&trained, &moments})
    for (StateTensor& tensor : *tensors) {
      auto copy = std::make_shared<std::vector<float>>(tensor.values());
      tensor.values = [copy] { return std::move(*copy); };
    }
}

}  // namespace loragrad
