#include <cmath>
#include <numbers>
#include <vector>

#include "ops/cpu/dispatch.h"
#include "ops/cpu/kernels.h"

namespace loragrad::cpu {
namespace {

/// cos and sin of position * frequency. Angles reach 10^5 and more, so they are formed in f64 and, for f32, brought to
/// [-π, π] before they are rounded.
template <class C>
void rotation(const RopeArgs& args, std::int64_t position, Eigen::Array<C, Eigen::Dynamic, 1>& cos,
              Eigen::Array<C, Eigen::Dynamic, 1>& sin) {
  for (std::int64_t i = 0; i < args.head_dim / 2; ++i) {
    double angle = static_cast<double>(position) * args.frequencies[i];
    if constexpr (std::is_same_v<C, float>)
      angle -= 2 * std::numbers::pi * std::nearbyint(angle / (2 * std::numbers::pi));
    sin[i] = static_cast<C>(angle);
  }
  cos = sin.cos();
  sin = sin.sin().eval();
  if (args.inverse) sin = -sin;
}

}  // namespace

void rope(Device& device, const RopeArgs& args, void*) {
  std::int64_t head_dim = args.head_dim, half = head_dim / 2, heads = args.x.cols / head_dim;
  with_scalar({args.x, args.y}, [&](auto scalar) {
    using C = decltype(scalar);
    for_row_tiles(device, args.x.rows, args.x.cols, [&](std::int64_t first, std::int64_t last) {
      Eigen::Array<C, Eigen::Dynamic, 1> cos(half), sin(half);
      std::vector<C> in(static_cast<std::size_t>(head_dim)), out(in);
      for (std::int64_t t = first; t < last; ++t) {
        rotation<C>(args, args.positions[t], cos, sin);
        for (std::int64_t h = 0; h < heads; ++h) {
          load(args.x, t, h * head_dim, head_dim, in.data());
          Map<C> a(in.data(), half), b(in.data() + half, half);
          Map<C>(out.data(), half) = a * cos - b * sin;
          Map<C>(out.data() + half, half) = b * cos + a * sin;
          store(out.data(), args.beta, args.y, t, h * head_dim, head_dim);
        }
      }
    });
  });
}

}  // namespace loragrad::cpu
