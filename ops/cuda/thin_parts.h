#pragma once
#include <algorithm>

#include "ops/cuda/dropout_mask.h"
#include "ops/cuda/launch.h"
#include "ops/cuda/scratch.h"
#include "ops/cuda/thin_shapes.h"
#include "ops/cuda/values.h"

/// Sums that several blocks share: each leaves a part, and parts are added in their order.
namespace loragrad::cuda {

/// A product whose alpha has the scale of its mask.
inline GemmArgs with_mask_scale(GemmArgs g, const MaskArgs& mask) {
  g.alpha *= mask.scale;
  return g;
}

/// How a sum over `length` terms is cut, by the product's shape alone.
struct ThinSplit {
  std::int64_t piece, count;
  int blocks() const { return static_cast<int>(count); }
};
/// Into as many pieces as make about `wanted` blocks of `others`, each of whole `units` and not below `least`.
inline ThinSplit thin_split(std::int64_t length, std::int64_t unit, std::int64_t least, std::int64_t others,
                            std::int64_t wanted) {
  std::int64_t most = std::max<std::int64_t>(1, length / least);
  std::int64_t count = std::clamp<std::int64_t>(wanted / std::max<std::int64_t>(1, others), 1, most);
  std::int64_t piece = std::max<std::int64_t>(1, ceil_div(ceil_div(length, count), unit)) * unit;
  return {piece, std::max<std::int64_t>(1, ceil_div(length, piece))};
}

/// Where a product's sums go: c = alpha sum + beta c, or as parts to scratch space first.
template <class S>
struct ThinResult {
  ThinResult() = default;
  /// With parts where there are more than one.
  ThinResult(const GemmArgs& g, std::int64_t count, Scratch& scratch)
      : c(g.c.data),
        dtype(g.c.dtype),
        rows(g.c.rows),
        cols(g.c.cols),
        stride(g.c.stride),
        part_stride(ceil_div(g.c.cols, 4) * 4),
        alpha(static_cast<S>(g.alpha)),
        beta(static_cast<S>(g.beta)) {
    if (count > 1) parts = scratch.take<S>(count * rows * part_stride);
  }

  /// Sums of n neighbours in one row, from a multiple of n on; those beyond c count for nothing.
  template <int n>
  __device__ void put(std::int64_t part, std::int64_t row, std::int64_t col, const S (&sums)[n]) const {
    if (row >= rows || col >= (parts ? part_stride : cols)) return;  // add_parts reads whole rows of parts
    if (!parts) return finish(row, col, sums);
    Neighbours<n> all;
#pragma unroll
    for (int i = 0; i < n; ++i) all.values[i] = sums[i];
    *reinterpret_cast<Neighbours<n>*>(address(part, row, col)) = all;
  }
  /// Adds four neighbours' parts, in their order.
  __device__ void add_parts(std::int64_t row, std::int64_t col, int count) const {
    S sums[4] = {};
#pragma unroll 4
    for (int part = 0; part < count; ++part) {
      auto all = *reinterpret_cast<const Neighbours<4>*>(address(part, row, col));
#pragma unroll
      for (int i = 0; i < 4; ++i) sums[i] += all.values[i];
    }
    finish(row, col, sums);
  }

  void* c = nullptr;
  DType dtype = DType::f32;
  std::int64_t rows = 0, cols = 0, stride = 0;
  std::int64_t part_stride = 0;  // of parts [count, rows, part_stride]
  S alpha = 1, beta = 0;
  S* parts = nullptr;

 private:
  template <int n>
  struct alignas(std::min<std::size_t>(16, n * sizeof(S))) Neighbours {
    S values[n];
  };
  __device__ S* address(std::int64_t part, std::int64_t row, std::int64_t col) const {
    return parts + (part * rows + row) * part_stride + col;
  }
  template <int n>
  __device__ void finish(std::int64_t row, std::int64_t col, const S (&sums)[n]) const {
#pragma unroll
    for (int i = 0; i < n; ++i) {
      if (col + i >= cols) continue;
      if (dtype == DType::bf16)
        update(static_cast<bf16*>(c)[row * stride + col + i], sums[i]);
      else
        update(static_cast<S*>(c)[row * stride + col + i], sums[i]);
    }
  }
  template <class Y>
  __device__ void update(Y& y, S sum) const {
    S value = alpha * sum;
    if (beta != 0) value += beta * as<S>(y);
    y = rounded<Y>(value);
  }
};

template <class S>
struct ThinSums {
  static constexpr int threads = 256;
  ThinResult<S> results[2 * most_together];
};

template <class S>
__global__ void __launch_bounds__(ThinSums<S>::threads) thin_sum_kernel(ThinSums<S> sums, int count) {
  const ThinResult<S>& to = sums.results[blockIdx.y];
  std::int64_t i = std::int64_t{blockIdx.x} * blockDim.x + threadIdx.x, across = to.part_stride / 4;
  if (i < to.rows * across) to.add_parts(i / across, i % across * 4, count);
}

/// Adds the parts of `products` results.
template <class S>
void add_parts(Device& device, const ThinSums<S>& sums, std::size_t products, const ThinSplit& split) {
  if (split.count == 1) return;
  std::int64_t most = 1;
  for (std::size_t i = 0; i < products; ++i)
    most = std::max(most, sums.results[i].rows * sums.results[i].part_stride / 4);
  dim3 grid(static_cast<unsigned>(ceil_div(most, ThinSums<S>::threads)), static_cast<unsigned>(products));
  launch(device, thin_sum_kernel<S>, grid, dim3(ThinSums<S>::threads), 0, sums, split.blocks());
}

}  // namespace loragrad::cuda
