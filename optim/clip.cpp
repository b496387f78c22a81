#include "optim/clip.h"

#include <algorithm>
#include <cmath>

namespace loragrad {

double gradient_norm(const std::vector<Tensor>& parameters) {
  double squares = 0;
  for (const Tensor& parameter : parameters) {
    Tensor gradient = parameter.grad();
    if (!gradient.defined()) continue;
    Device& device = *gradient.device();
    squares += device.kernels().squared_norm(device, gradient.matrix());
  }
  return std::sqrt(squares);
}

double clip_factor(double norm, double max_norm) {
  if (max_norm == 0) return 1;
  return std::min(1.0, max_norm / (norm + 1e-6));
}

}  // namespace loragrad
