#include "ops/cuda/launch.h"
#include "ops/cuda/products.h"
#include "ops/cuda/values.h"

namespace loragrad::cuda {
namespace {

using Index = std::int64_t;

constexpr int tile = 64, depth = 16, threads_a_side = 16, per_thread = tile / threads_a_side;
constexpr int tile_stride = tile + 1;  // a column's elements lie in different banks

/// Element (i, p) of op(a): steps are strides, in the order of the product and not of the memory.
template <class X>
struct Operand {
  const X* data;
  Index step_outer, step_inner;
};
template <class X>
Operand<X> operand(const ConstMatrix& m, bool inner_first) {
  auto* data = static_cast<const X*>(m.data);
  return inner_first ? Operand<X>{data, 1, m.stride} : Operand<X>{data, m.stride, 1};
}

/// tile x depth elements to shared memory, zeroes where there are none; consecutive threads read neighbours.
template <class S, class X>
__device__ void load_tile(S* to, const Operand<X>& from, Index outer_begin, Index outers, Index inner_begin,
                          Index inners, int thread) {
  for (int i = thread; i < tile * depth; i += threads_a_side * threads_a_side) {
    bool along_inner = from.step_inner == 1;
    int outer = along_inner ? i / depth : i % tile, inner = along_inner ? i % depth : i / tile;
    Index o = outer_begin + outer, p = inner_begin + inner;
    to[inner * tile_stride + outer] =
        o < outers && p < inners ? as<S>(from.data[o * from.step_outer + p * from.step_inner]) : S(0);
  }
}

template <class S, class X, class C>
__global__ __launch_bounds__(threads_a_side* threads_a_side) void plain_product(Operand<X> a, Operand<X> b, View<C> c,
                                                                                const SumOf<C>* bias, Index m, Index n,
                                                                                Index k, S alpha, S beta) {
  S* tile_a = shared_memory<S>();
  S* tile_b = tile_a + depth * tile_stride;
  int thread = static_cast<int>(threadIdx.x), row = thread / threads_a_side, col = thread % threads_a_side;
  Index first_row = static_cast<Index>(blockIdx.x) * tile;
  for (Index first_col = static_cast<Index>(blockIdx.y) * tile; first_col < n; first_col += Index{gridDim.y} * tile) {
    S sums[per_thread][per_thread] = {};
    for (Index p = 0; p < k; p += depth) {
      load_tile(tile_a, a, first_row, m, p, k, thread);
      load_tile(tile_b, b, first_col, n, p, k, thread);
      __syncthreads();
      for (int q = 0; q < depth; ++q)
        for (int i = 0; i < per_thread; ++i)
          for (int j = 0; j < per_thread; ++j)
            sums[i][j] +=
                tile_a[q * tile_stride + row + i * threads_a_side] * tile_b[q * tile_stride + col + j * threads_a_side];
      __syncthreads();
    }
    for (int i = 0; i < per_thread; ++i)
      for (int j = 0; j < per_thread; ++j) {
        Index at_row = first_row + row + i * threads_a_side, at_col = first_col + col + j * threads_a_side;
        if (at_row >= m || at_col >= n) continue;
        S value = alpha * sums[i][j] + (bias ? static_cast<S>(bias[at_col]) : S(0));
        if (beta != 0) value += beta * as<S>(c(at_row, at_col));
        c(at_row, at_col) = rounded<C>(value);
      }
  }
}

}  // namespace

void multiply_plainly(Device& device, const GemmArgs& g) {
  with_type(g.a.dtype, [&](auto x) {
    with_type(g.c.dtype, [&](auto y) {
      using X = decltype(x);
      using Y = decltype(y);
      using S = std::conditional_t<std::is_same_v<Y, double>, double, SumOf<X>>;
      dim3 grid(static_cast<unsigned>(ceil_div(g.c.rows, tile)),
                static_cast<unsigned>(std::min<Index>(ceil_div(g.c.cols, tile), 65535)));
      launch(device, plain_product<S, X, Y>, grid, threads_a_side * threads_a_side, 2 * depth * tile_stride * sizeof(S),
             operand<X>(g.a, g.transpose_a), operand<X>(g.b, !g.transpose_b), view<Y>(g.c),
             static_cast<const SumOf<Y>*>(g.bias), g.c.rows, g.c.cols, inner(g), g.alpha, g.beta);
    });
  });
}

}  // namespace loragrad::cuda
