// A model of one's own from the ops: a gated two-layer network, pretrained on one function, frozen, and adapted to
// another by LoRA alone. Prints the error before and after; the frozen weights are the same bytes at the end.
#include <cmath>
#include <cstdio>
#include <functional>

#include "loragrad.h"

using namespace loragrad;

namespace {

constexpr std::int64_t rows = 64, inputs = 3, hidden = 32;

Tensor random_matrix(const DevicePtr& device, Shape shape, double deviation, std::uint64_t stream) {
  Random random(/*seed=*/1, stream);
  std::vector<float> values(static_cast<std::size_t>(shape.numel()));
  for (float& v : values) v = static_cast<float>(random.normal() * deviation);
  return Tensor::from(device, shape, values.data()).set_trainable();
}

/// Minimises the mean squared error of forward() against `target`, and returns the last one.
double fit(const std::vector<Tensor>& parameters, const Tensor& target, int steps,
           const std::function<Tensor()>& forward) {
  AdamW optimiser(parameters, {});
  double error = 0;
  for (int step = 0; step < steps; ++step) {
    Tensor difference = add(forward(), scale(target, -1));
    error = 0;
    for (float d : difference.values<float>()) error += d * d / rows;
    backward(difference, scale(difference.detach(), 2.0 / rows));  // d(error)/d(difference)
    optimiser.step(/*lr=*/0.01);
    for (Tensor parameter : parameters) parameter.clear_grad();
  }
  return error;
}

}  // namespace

int main() {
  DevicePtr device = cpu_device();
  Tensor x = random_matrix(device, {rows, inputs}, 1, 1).detach();
  std::vector<float> product, sum;  // the function of pretraining, and the one to adapt to
  std::vector<float> xs = x.values<float>();
  for (std::size_t i = 0; i < xs.size(); i += inputs) {
    product.push_back(xs[i] * xs[i + 1]);
    sum.push_back(xs[i] * xs[i + 1] + 0.5f * xs[i + 2]);
  }

  Tensor gate = random_matrix(device, {hidden, inputs}, 0.6, 2), up = random_matrix(device, {hidden, inputs}, 0.6, 3);
  Tensor down = random_matrix(device, {1, hidden}, 0.2, 4);
  double pretrained = fit({gate, up, down}, Tensor::from(device, {rows, 1}, product.data()), 400, [&] {
    return linear(gated(Activation::silu, linear(x, gate, {}), linear(x, up, {})), down, {});
  });

  // From here on the network is frozen: a Weight has no gradient, and only A and B of rank 2 are trained.
  Weight w_gate(gate), w_up(up), w_down(down);
  std::vector<float> before = gate.values<float>();
  auto lora = [&](std::int64_t in, std::int64_t out, std::uint64_t stream) {
    return LoraTerm{random_matrix(device, {2, in}, 0.5, stream),
                    Tensor::zeros(device, {out, 2}, DType::f32).set_trainable(),
                    1.5,
                    {}};
  };
  LoraTerm on_up = lora(inputs, hidden, 5), on_down = lora(hidden, 1, 6);
  auto adapted = [&] {
    Tensor h = gated(Activation::silu, linear(x, w_gate, {}), lora_linear(x, w_up, {}, {on_up}));
    return lora_linear(h, w_down, {}, {on_down});
  };
  Tensor target = Tensor::from(device, {rows, 1}, sum.data());
  double start = fit({on_up.a, on_up.b, on_down.a, on_down.b}, target, 1, adapted);
  double end = fit({on_up.a, on_up.b, on_down.a, on_down.b}, target, 400, adapted);
  bool frozen = gate.values<float>() == before;
  std::printf("pretrained: error %.4f\nnew task:   error %.4f before, %.4f after LoRA\nbase unchanged: %s\n",
              pretrained, start, end, frozen ? "yes" : "no");
  return end < start / 5 && frozen ? 0 : 1;
}
