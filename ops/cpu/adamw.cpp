#include <cmath>

#include "ops/cpu/dispatch.h"
#include "ops/cpu/kernels.h"

namespace loragrad::cpu {

namespace {

void update(Device& device, const AdamWTensor& tensor, const AdamWArgs& args) {
  Matrix parameter = tensor.parameter, m = tensor.m, v = tensor.v;
  ConstMatrix gradient = tensor.gradient;
  double grad_scale = args.grad_scale ? *args.grad_scale : 1;
  flatten(parameter, m, v, gradient);
  double correction1 = 1 - std::pow(args.beta1, static_cast<double>(args.step));
  double correction2 = 1 - std::pow(args.beta2, static_cast<double>(args.step));
  with_scalar({parameter, m, v, gradient}, [&](auto scalar) {
    using C = decltype(scalar);
    auto b1 = static_cast<C>(args.beta1), b2 = static_cast<C>(args.beta2), eps = static_cast<C>(args.eps);
    auto rest1 = static_cast<C>(1 - args.beta1), rest2 = static_cast<C>(1 - args.beta2);
    auto decay = static_cast<C>(1 - args.lr * args.weight_decay), step = static_cast<C>(args.lr / correction1);
    auto root2 = static_cast<C>(std::sqrt(correction2)), scale = static_cast<C>(grad_scale);
    for_blocks(device, parameter.rows, parameter.cols, [&](std::int64_t row, std::int64_t col, std::int64_t n) {
      Block<C> p, first, second, g;
      load(parameter, row, col, n, p);
      load(m, row, col, n, first);
      load(v, row, col, n, second);
      load(gradient, row, col, n, g);
      g *= scale;
      first = b1 * first + rest1 * g;
      second = b2 * second + rest2 * g * g;
      p = decay * p - step * first / (second.sqrt() / root2 + eps);
      store(first, 0, m, row, col, n);
      store(second, 0, v, row, col, n);
      store(p, 0, parameter, row, col, n);
    });
  });
}

}  // namespace

void adamw(Device& device, const AdamWArgs& args, void*) {
  for (const AdamWTensor& tensor : args.tensors) update(device, tensor, args);
}

}  // namespace loragrad::cpu
