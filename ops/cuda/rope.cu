#include <cmath>
#include <numbers>

#include "ops/cuda/kernels.h"
#include "ops/cuda/launch.h"
#include "ops/cuda/operands.h"
#include "ops/cuda/reduce.h"

namespace loragrad::cuda {
namespace {

constexpr int most_threads = 256;

/// Angles reach 10^5 and more, so they are formed in f64 and, for f32, brought to [-π, π] before they are rounded.
template <class C>
__global__ void __launch_bounds__(most_threads)
    rotations_kernel(const std::int32_t* positions, const double* frequencies, int n, std::int64_t count, C* y) {
  std::int64_t i = std::int64_t{blockIdx.x} * most_threads + threadIdx.x;
  if (i >= count) return;
  std::int64_t token = i / n, col = i % n;
  double angle = positions[token] * frequencies[col];
  if constexpr (std::is_same_v<C, float>)
    angle -= 2 * std::numbers::pi * std::rint(angle * (0.5 * std::numbers::inv_pi));
  C* at = y + token * 2 * n + col;
  at[0] = std::cos(static_cast<C>(angle));
  at[n] = std::sin(static_cast<C>(angle));
}

template <class X>
struct Rotation {
  using C = Computing<X>;
  Operand<X> x, y;
  Operand<std::conditional_t<std::is_same_v<X, Any>, Any, C>> rotations;
  int heads, head_dim, half;
  bool inverse;
  C beta;
};

/// Units of half of what is rotated of a head.
template <class X>
__host__ __device__ constexpr int units_of_half(int half) {
  return (half + unit_of<X> - 1) / unit_of<X>;
}

/// A block has one token: its threads bring the rotations to shared memory, and each rotates units of the first half of
/// a head together with those of the second.  At: WholeUnit or PartUnit
template <class X, class At>
__global__ void __launch_bounds__(most_threads) rope_kernel(Rotation<X> r) {
  using C = Computing<X>;
  constexpr int n = unit_of<X>;
  using Rotations = Unit<C, n>;
  int half = r.half, per_half = units_of_half<X>(half), pairs = r.heads * per_half;
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

  load(thread);                        // on its way while the rotations come
  auto* cosines = shared_memory<C>();  // [per_half * n]
  auto* sines = cosines + per_half * n;
  auto rotation = [&](int i) { return r.rotations.template load<1>(PartUnit{token, i, 1}).template get<C>(0); };
  for (int i = thread; i < per_half * n; i += threads) {
    C sin = i < half ? rotation(half + i) : C(0);
    cosines[i] = i < half ? rotation(i) : C(0);
    sines[i] = r.inverse ? -sin : sin;
  }
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
  // What is not rotated. x and y may be the same: each element is one thread's.
  int still = r.head_dim - 2 * half;
  for (int i = thread; i < r.heads * still; i += threads) {
    PartUnit at{token, std::int64_t{i / still} * r.head_dim + 2 * half + i % still, 1};
    C value[n] = {r.x.template load<n>(at).template get<C>(0)};
    if (r.beta != 0) add_scaled(value, r.beta, r.y.template load<n>(at));
    r.y.store(at, value);
  }
}

}  // namespace

void rotations(Device& device, const RotationsArgs& args, void*) {
  auto n = static_cast<int>(args.y.cols / 2);
  std::int64_t count = args.y.rows * n;
  if (count == 0) return;
  auto form = [&](auto* y) {
    launch(device, rotations_kernel<std::remove_pointer_t<decltype(y)>>, blocks_for(count, most_threads), most_threads,
           0, args.positions, args.frequencies, n, count, y);
  };
  args.y.dtype == DType::f64 ? form(static_cast<double*>(args.y.data)) : form(static_cast<float*>(args.y.data));
}

void rope(Device& device, const RopeArgs& args, void*) {
  const ConstMatrix& x = args.x;
  if (x.rows == 0 || x.cols == 0) return;
  with_common_type({x, args.y}, [&](auto element) {
    using X = decltype(element);
    using C = Computing<X>;
    auto head_dim = static_cast<int>(args.head_dim), heads = static_cast<int>(x.cols / head_dim),
         half = static_cast<int>(args.rotations.cols / 2);
    Rotation<X> rotation{Operand<X>(x),
                         Operand<X>(args.y),
                         decltype(Rotation<X>::rotations)(args.rotations),
                         heads,
                         head_dim,
                         half,
                         args.inverse,
                         static_cast<C>(args.beta)};
    int per_half = units_of_half<X>(half), warps = static_cast<int>(ceil_div(heads * per_half, warp_size));
    bool whole = all_aligned({x, args.y}, unit_of<X>) && half % unit_of<X> == 0 && head_dim % unit_of<X> == 0;
    launch(device, whole ? rope_kernel<X, WholeUnit> : rope_kernel<X, PartUnit>, static_cast<unsigned>(x.rows),
           std::min(most_threads, std::max(warps, 1) * warp_size), 2 * sizeof(C) * per_half * unit_of<X>, rotation);
  });
}

}  // namespace loragrad::cuda
