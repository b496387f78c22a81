#include <cmath>
#include <numbers>
#include <vector>

#include "ops/cpu/dispatch.h"
#include "ops/cpu/kernels.h"

namespace loragrad::cpu {
namespace {

/// Angles reach 10^5 and more, so they are formed in f64 and, for f32, brought to [-π, π] before they are rounded.
template <class C>
C angle_of(std::int32_t position, double frequency) {
  double angle = static_cast<double>(position) * frequency;
  if constexpr (std::is_same_v<C, float>)
    angle -= 2 * std::numbers::pi * std::nearbyint(angle / (2 * std::numbers::pi));
  return static_cast<C>(angle);
}

}  // namespace

void rotations(Device& device, const RotationsArgs& args, void*) {
  std::int64_t n = args.y.cols / 2;
  with_scalar({args.y}, [&](auto scalar) {
    using C = decltype(scalar);
    for_row_tiles(device, args.y.rows, args.y.cols, [&](std::int64_t first, std::int64_t last) {
      Eigen::Array<C, Eigen::Dynamic, 1> angles(n), values(n);
      for (std::int64_t t = first; t < last; ++t) {
        for (std::int64_t i = 0; i < n; ++i) angles[i] = angle_of<C>(args.positions[t], args.frequencies[i]);
        values = angles.cos();
        store(values.data(), 0, args.y, t, 0, n);
        values = angles.sin();
        store(values.data(), 0, args.y, t, n, n);
      }
    });
  });
}

void rope(Device& device, const RopeArgs& args, void*) {
  std::int64_t head_dim = args.head_dim, half = args.rotations.cols / 2, heads = args.x.cols / head_dim;
  with_scalar({args.x, args.y}, [&](auto scalar) {
    using C = decltype(scalar);
    for_row_tiles(device, args.x.rows, args.x.cols, [&](std::int64_t first, std::int64_t last) {
      Eigen::Array<C, Eigen::Dynamic, 1> cos(half), sin(half);
      std::vector<C> in(static_cast<std::size_t>(head_dim)), out(in);
      for (std::int64_t t = first; t < last; ++t) {
        load(args.rotations, t, 0, half, cos.data());
        load(args.rotations, t, half, half, sin.data());
        if (args.inverse) sin = -sin;
        for (std::int64_t h = 0; h < heads; ++h) {
          load(args.x, t, h * head_dim, head_dim, in.data());
          Map<C> a(in.data(), half), b(in.data() + half, half);
          Map<C>(out.data(), half) = a * cos - b * sin;
          Map<C>(out.data() + half, half) = b * cos + a * sin;
          std::copy(in.begin() + 2 * half, in.end(), out.begin() + 2 * half);
          store(out.data(), args.beta, args.y, t, h * head_dim, head_dim);
        }
      }
    });
  });
}

}  // namespace loragrad::cpu
