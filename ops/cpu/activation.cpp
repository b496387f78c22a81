#include <bit>
#include <cmath>
#include <numbers>
#include <unsupported/Eigen/SpecialFunctions>

#include "ops/cpu/dispatch.h"
#include "ops/cpu/kernels.h"
#include "ops/cpu/simd.h"

namespace loragrad::cpu {
namespace {

template <class C>
void erf(const Block<C>& x, Block<C>& y) {
  if constexpr (std::is_same_v<C, float>)
    y = Eigen::erf(x);
  else
    for (std::int64_t i = 0; i < block_size; ++i) y[i] = std::erf(x[i]);
}

/// y = f(x), and where asked slope = f'(x).
template <class C>
void evaluate(Activation kind, const Block<C>& x, Block<C>& y, Block<C>* slope) {
  constexpr C half = C(0.5);
  switch (kind) {
    case Activation::relu:
      y = (x < C(0)).select(C(0), x);  // keeps a NaN
      if (slope) *slope = (x > C(0)).template cast<C>();
      return;
    case Activation::gelu_erf: {  // x Φ(x);  Φ(x) + x φ(x)
      Block<C> phi;
      y = x * (std::numbers::sqrt2_v<C> / 2);
      erf<C>(y, phi);
      phi = half * (C(1) + phi);
      if (slope) *slope = phi + x * (x * x * -half).exp() * static_cast<C>(0.3989422804014327);  // 1 / sqrt(2π)
      y = x * phi;
      return;
    }
    case Activation::gelu_tanh: {  // x (1 + tanh u) / 2,  u = k (x + 0.044715 x³)
      constexpr C k = static_cast<C>(0.7978845608028654), cubic = static_cast<C>(0.044715);  // k = sqrt(2/π)
      Block<C> t;
      t = (k * (x + cubic * x * x * x)).tanh();
      if (slope) *slope = half * (C(1) + t) + half * x * (C(1) - t * t) * k * (C(1) + C(3) * cubic * x * x);
      y = half * x * (C(1) + t);
      return;
    }
    case Activation::silu: {  // x σ(x);  σ (1 + x (1 - σ))
      Block<C> sigmoid;
      sigmoid = C(1) / (C(1) + (-x).exp());
      if (slope) *slope = sigmoid * (C(1) + x * (C(1) - sigmoid));
      y = x * sigmoid;
      return;
    }
  }
}

/// Zeroes the elements whose bit is not set. Word by word, so that the compiler makes vectors of it.
template <class C>
void mask_out(const std::uint8_t* bytes, std::int64_t n, Block<C>& values) {
  std::uint32_t words[block_size / 32] = {};
  std::memcpy(words, bytes, static_cast<std::size_t>((n + 7) / 8));
  static_assert(std::endian::native == std::endian::little, "bit i of a word is bit i % 8 of its byte i / 8");
  C* v = values.data();
  for (std::uint32_t word : words) {
    for (std::uint32_t i = 0; i < 32; ++i) v[i] = (word >> i & 1u) != 0 ? v[i] : C(0);
    v += 32;
  }
}

}  // namespace

void activation(Device& device, const ActivationArgs& args, void*) {
  ConstMatrix x = args.x;
  Matrix y = args.y;
  std::int64_t mask_stride = (x.cols + 7) / 8;
  if (!args.mask) flatten(x, y);
  with_scalar({x, y}, [&](auto scalar) {
    using C = decltype(scalar);
    for_blocks(device, y.rows, y.cols, [&](std::int64_t row, std::int64_t col, std::int64_t n) {
      Block<C> in, out;
      load(x, row, col, n, in);
      evaluate<C>(args.kind, in, out, nullptr);
      store(out, 0, y, row, col, n);
      if (!args.mask) return;
      std::uint8_t* bytes = args.mask + row * mask_stride + col / 8;
      for (std::int64_t i = 0; i < n; i += 8) bytes[i / 8] = positive_bits(in.data() + i);
    });
  });
}

void activation_backward(Device& device, const ActivationBackwardArgs& args, void*) {
  ConstMatrix x = args.x, dy = args.dy;
  Matrix dx = args.dx;
  std::int64_t mask_stride = (dy.cols + 7) / 8;
  bool from_mask = args.kind == Activation::relu;
  if (!from_mask) flatten(x, dy, dx);
  with_scalar({dy, dx}, [&](auto scalar) {
    using C = decltype(scalar);
    for_blocks(device, dx.rows, dx.cols, [&](std::int64_t row, std::int64_t col, std::int64_t n) {
      Block<C> gradient, slope;
      load(dy, row, col, n, gradient);
      if (from_mask) {
        mask_out(args.mask + row * mask_stride + col / 8, n, gradient);
      } else {
        Block<C> in, out;
        load(x, row, col, n, in);
        evaluate<C>(args.kind, in, out, &slope);
        gradient *= slope;
      }
      store(gradient, args.beta, dx, row, col, n);
    });
  });
}

void gated(Device& device, const GatedArgs& args, void*) {
  ConstMatrix gate = args.gate, up = args.up;
  Matrix y = args.y;
  flatten(gate, up, y);
  with_scalar({gate, up, y}, [&](auto scalar) {
    using C = decltype(scalar);
    for_blocks(device, y.rows, y.cols, [&](std::int64_t row, std::int64_t col, std::int64_t n) {
      Block<C> in, out, factor;
      load(gate, row, col, n, in);
      load(up, row, col, n, factor);
      evaluate<C>(args.kind, in, out, nullptr);
      out *= factor;
      store(out, 0, y, row, col, n);
    });
  });
}

void gated_backward(Device& device, const GatedBackwardArgs& args, void*) {
  ConstMatrix gate = args.gate, up = args.up, dy = args.dy;
  Matrix dgate = args.dgate, dup = args.dup;
  std::int64_t rows = dy.rows, cols = dy.cols;
  with_scalar({gate, up, dy}, [&](auto scalar) {
    using C = decltype(scalar);
    for_blocks(device, rows, cols, [&](std::int64_t row, std::int64_t col, std::int64_t n) {
      Block<C> in, factor, gradient, out, slope;
      load(gate, row, col, n, in);
      load(dy, row, col, n, gradient);
      evaluate<C>(args.kind, in, out, &slope);
      if (dgate.data) {
        load(up, row, col, n, factor);
        slope *= factor * gradient;
        store(slope, args.beta_gate, dgate, row, col, n);
      }
      if (dup.data) {
        out *= gradient;
        store(out, args.beta_up, dup, row, col, n);
      }
    });
  });
}

}  // namespace loragrad::cpu
