#include <cmath>
#include <numbers>

#include "ops/cuda/kernels.h"
#include "ops/cuda/launch.h"
#include "ops/cuda/operands.h"
#include "ops/cuda/reduce.h"

namespace loragrad::cuda {
namespace {

constexpr int most_threads = 256;

template <class X>
struct Rotation {
  using C = Computing<X>;
  Operand<X> x, y;
  const std::int32_t* positions;
  const double* frequencies;
  int heads, head_dim;
  bool inverse;
  C beta;
};

/// Units of half a head.
template <class X>
__host__ __device__ constexpr int units_of_half(int head_dim) {
  return (head_dim / 2 + unit_of<X> - 1) / unit_of<X>;
}

/// cos and sin of position * frequency. Angles reach 10^5 and more, so they are formed in f64 and, for f32, brought to
/// [-π, π] before they are rounded.
template <class C>
__device__ void rotation_of(std::int32_t position, double frequency, bool inverse, C& cos, C& sin) {
  double angle = position * frequency;
  if constexpr (std::is_same_v<C, float>)
    angle -= 2 * std::numbers::pi * std::rint(angle * (0.5 * std::numbers::inv_pi));
  cos = std::cos(static_cast<C>(angle));
  sin = std::sin(static_cast<C>(angle));
  if (inverse) sin = -sin;
}

/// A block has one token: its threads form the rotations once, in shared memory, and each rotates units of the first
/// half of a head together with those of the second.  At: WholeUnit or PartUnit
template <class X, class At>
__global__ void __launch_bounds__(most_threads) rope_kernel(Rotation<X> r) {
  using C = Computing<X>;
  constexpr int n = unit_of<X>;
  using Rotations = Unit<C, n>;
  int half = r.head_dim / 2, per_half = units_of_half<X>(r.head_dim), pairs = r.heads * per_half;
  auto thread = static_cast<int>(threadIdx.x), threads = static_cast<int>(blockDim.x);
  std::int64_t token = blockIdx.x;
  auto first_half = [&](int pair) {
    int col = pair % per_half * n;
    At at{};
    at.row = token, at.col = std::int64_t{pair / per_half} * r.head_dim + col;
    if constexpr (std::is_same_v<At, PartUnit>) at.count = half - col < n ? half - col : n;
    return at;
  };
  auto second_half = [&](int pair) {
    At at = first_half(pair);
    at.col += half;
    return at;
  };
  struct Loaded {
    Unit<Held<X>, n> a, b;
  } in{};
  auto load = [&](int pair) {
    if (pair < pairs) in = {r.x.template load<n>(first_half(pair)), r.x.template load<n>(second_half(pair))};
  };

  load(thread);                        // on its way while the rotations are formed
  auto* cosines = shared_memory<C>();  // [per_half * n]
  auto* sines = cosines + per_half * n;
  for (int i = thread; i < per_half * n; i += threads)
    rotation_of(r.positions[token], i < half ? r.frequencies[i] : 0, r.inverse, cosines[i], sines[i]);
  __syncthreads();
  for (int pair = thread; pair < pairs; pair += threads) {
    auto cos = reinterpret_cast<const Rotations*>(cosines)[pair % per_half];
    auto sin = reinterpret_cast<const Rotations*>(sines)[pair % per_half];
    C a[n], b[n];
#pragma unroll
    for (int i = 0; i < n; ++i) {
      C a_i = in.a.template get<C>(i), b_i = in.b.template get<C>(i);
      C cos_i = cos.template get<C>(i), sin_i = sin.template get<C>(i);
      a[i] = a_i * cos_i - b_i * sin_i;
      b[i] = b_i * cos_i + a_i * sin_i;
    }
    load(pair + threads);
    At first = first_half(pair), second = second_half(pair);
    if (r.beta != 0) {
      add_scaled(a, r.beta, r.y.template load<n>(first));
      add_scaled(b, r.beta, r.y.template load<n>(second));
    }
    r.y.store(first, a);
    r.y.store(second, b);
  }
}

}  // namespace

void rope(Device& device, const RopeArgs& args, void*) {
  const ConstMatrix& x = args.x;
  if (x.rows == 0 || x.cols == 0) return;
  with_common_type({x, args.y}, [&](auto element) {
    using X = decltype(element);
    using C = Computing<X>;
    auto head_dim = static_cast<int>(args.head_dim), heads = static_cast<int>(x.cols / head_dim);
    Rotation<X> rotation{Operand<X>(x), Operand<X>(args.y), args.positions, args.frequencies,
                         heads,         head_dim,           args.inverse,   static_cast<C>(args.beta)};
    int per_half = units_of_half<X>(head_dim), warps = static_cast<int>(ceil_div(heads * per_half, warp_size));
    bool whole = all_aligned({x, args.y}, unit_of<X>) && head_dim % (2 * unit_of<X>) == 0;
    launch(device, whole ? rope_kernel<X, WholeUnit> : rope_kernel<X, PartUnit>, static_cast<unsigned>(x.rows),
           std::min(most_threads, warps * warp_size), 2 * sizeof(C) * per_half * unit_of<X>, rotation);
  });
}

}  // namespace loragrad::cuda
