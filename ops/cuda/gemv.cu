#include "ops/cuda/gemv.h"

#include "ops/cuda/launch.h"
#include "ops/cuda/reduce.h"
#include "ops/cuda/units.h"

namespace loragrad::cuda {
namespace {

using Index = std::int64_t;

constexpr int most_rows = 8;
constexpr int warps = 8, threads = warps * warp_size;
constexpr int eight = 8;  // elements that a thread takes at a time: 16 bytes of bf16, 32 of f32

/// `eight` elements of a row from `at` on: in one access or two if they are `whole`, otherwise those that are there.
template <class X>
__device__ Unit<X, eight> load(const Operand<X>& m, Index row, Index at, Index cols, bool whole) {
  if (whole) return m.template load<eight>(WholeUnit{row, at});
  return m.template load<eight>(PartUnit{row, at, static_cast<int>(min(cols - at, Index{eight}))});
}

/// c = alpha sum + bias + beta c, for one element.
struct Epilogue {
  explicit Epilogue(const GemmArgs& g)
      : c(g.c.data),
        bias(static_cast<const float*>(g.bias)),
        stride(g.c.stride),
        alpha(static_cast<float>(g.alpha)),
        beta(static_cast<float>(g.beta)),
        wide(g.c.dtype == DType::f32) {}
  template <class C>
  __device__ void put(C& to, float value) const {
    to = rounded<C>(beta != 0 ? value + beta * as<float>(to) : value);
  }
  __device__ void operator()(int row, Index col, float sum) const {
    float value = alpha * sum + (bias ? bias[col] : 0.0f);
    if (wide)
      put(static_cast<float*>(c)[row * stride + col], value);
    else
      put(static_cast<bf16*>(c)[row * stride + col], value);
  }
  void* c;
  const float* bias;
  Index stride;
  float alpha, beta;
  bool wide;
};

// b as [columns of c, k]: dot products with its rows. Some warps, a group, share two of them, and with them what they
// read of a.

constexpr int dots = 2;
constexpr Index wanted_warps = 4096;  // enough to keep the largest GPUs' memory busy, whatever the number of columns

/// Warps of a group: more where there are few columns, as long as each has something to read.
int group_warps(Index n, Index k) {
  int group = 1;
  while (group < warps && ceil_div(n, dots) * group < wanted_warps && k >= 2 * group * 2 * eight * warp_size)
    group *= 2;
  return group;
}

template <class A, class B, int rows>
__global__ __launch_bounds__(threads) void dot_products(Operand<A> a, Operand<B> b, Epilogue epilogue, int m, Index n,
                                                        Index k, int group, bool aligned) {
  constexpr int unroll = rows == 1 ? 4 : rows == 2 ? 2 : 1, outputs = rows * dots;
  int thread = static_cast<int>(threadIdx.x), group_threads = group * warp_size, lane = thread % group_threads;
  Index first = (static_cast<Index>(blockIdx.x) * (warps / group) + thread / group_threads) * dots;
  float sums[rows][dots] = {};
  // What there is no row for is computed like the last, and thrown away.
  auto load_b = [&](Unit<B, eight>(&w)[dots], Index at, bool whole) {
#pragma unroll
    for (int d = 0; d < dots; ++d) w[d] = load(b, min(first + d, n - 1), at, k, whole);
  };
  auto add = [&](const Unit<B, eight>(&w)[dots], Index at, bool whole) {
#pragma unroll
    for (int r = 0; r < rows; ++r) {
      Unit<A, eight> x = load(a, Index{min(r, m - 1)}, at, k, whole);
#pragma unroll
      for (int d = 0; d < dots; ++d)
#pragma unroll
        for (int i = 0; i < eight; ++i)
          sums[r][d] = fmaf(x.template get<float>(i), w[d].template get<float>(i), sums[r][d]);
    }
  };
  Index step = Index{group_threads} * eight, begin = 0;
  if (aligned)
    for (; begin + unroll * step <= k; begin += unroll * step) {
      Unit<B, eight> w[unroll][dots];
#pragma unroll
      for (int u = 0; u < unroll; ++u) load_b(w[u], begin + u * step + lane * eight, true);
      __syncwarp();  // keeps the compiler from moving loads to where they are used, one after the other
#pragma unroll
      for (int u = 0; u < unroll; ++u) add(w[u], begin + u * step + lane * eight, true);
    }
  for (Index at = begin + lane * eight; at < k; at += step) {
    bool whole = aligned && at + eight <= k;
    Unit<B, eight> w[dots];
    load_b(w, at, whole);
    add(w, at, whole);
  }

  float* parts = shared_memory<float>();  // [warps, outputs]
  for (int r = 0; r < rows; ++r)
    for (int d = 0; d < dots; ++d) {
      float sum = warp_reduce(sums[r][d]);
      if (thread % warp_size == 0) parts[thread / warp_size * outputs + r * dots + d] = sum;
    }
  __syncthreads();
  if (lane >= outputs) return;
  float sum = 0;
  for (int warp = 0; warp < group; ++warp) sum += parts[(thread / warp_size + warp) * outputs + lane];
  if (lane / dots < m && first + lane % dots < n) epilogue(lane / dots, first + lane % dots, sum);
}

// b as [k, columns of c]: multiples of its rows are added. A block has 64 columns, of which eight threads read a row,
// and a part of k.

constexpr int block_columns = 64, column_threads = block_columns / eight, rows_at_once = threads / column_threads;
constexpr Index wanted_blocks = 1024, least_rows = 8 * rows_at_once;

Index split_of(Index n, Index k) {
  return std::clamp<Index>(std::min(wanted_blocks / ceil_div(n, block_columns), k / least_rows), 1, 64);
}
/// Rows of b that a block adds.
Index rows_of_part(Index k, Index split) { return ceil_div(ceil_div(k, split), rows_at_once) * rows_at_once; }

/// Where there are several parts of k, sums go to `parts` [split, m, n], otherwise to c.
template <class A, class B, int rows>
__global__ __launch_bounds__(threads, 2) void row_multiples(View<const A> a, Operand<B> b, Epilogue epilogue,
                                                            float* parts, int m, Index n, Index k, Index part_rows,
                                                            bool aligned) {
  int thread = static_cast<int>(threadIdx.x), column = thread % column_threads * eight;
  Index first = static_cast<Index>(blockIdx.x) * block_columns, col = first + column;
  Index begin = static_cast<Index>(blockIdx.y) * part_rows, end = min(begin + part_rows, k);
  float sums[rows][eight] = {};
  bool whole = aligned && col + eight <= n;
  auto add = [&](const Unit<B, eight>& w, Index p) {
#pragma unroll
    for (int r = 0; r < rows; ++r) {
      float x = as<float>(a(min(r, m - 1), p));
#pragma unroll
      for (int i = 0; i < eight; ++i) sums[r][i] = fmaf(x, w.template get<float>(i), sums[r][i]);
    }
  };
  constexpr int unroll = 4;
  Index p = begin + thread / column_threads;
  for (; begin + unroll * rows_at_once <= end; begin += unroll * rows_at_once, p += unroll * rows_at_once) {
    Unit<B, eight> w[unroll];
#pragma unroll
    for (int u = 0; u < unroll; ++u) w[u] = load(b, p + u * rows_at_once, col, n, whole);
    __syncwarp();
#pragma unroll
    for (int u = 0; u < unroll; ++u) add(w[u], p + u * rows_at_once);
  }
  for (; p < end; p += rows_at_once) add(load(b, p, col, n, whole), p);

  float* shared = shared_memory<float>();  // [warps, rows, columns]
  for (int r = 0; r < rows; ++r)
    for (int i = 0; i < eight; ++i) {
      float sum = sums[r][i];
      for (int step = column_threads; step < warp_size; step *= 2) sum += __shfl_xor_sync(all_lanes, sum, step);
      if (thread % warp_size < column_threads)
        shared[(thread / warp_size * rows + r) * block_columns + column + i] = sum;
    }
  __syncthreads();
  for (int i = thread; i < rows * block_columns; i += threads) {
    int r = i / block_columns;
    Index at = first + i % block_columns;
    if (r >= m || at >= n) continue;
    float sum = 0;
    for (int warp = 0; warp < warps; ++warp) sum += shared[warp * rows * block_columns + i];
    if (gridDim.y > 1)
      parts[(Index{blockIdx.y} * m + r) * n + at] = sum;
    else
      epilogue(r, at, sum);
  }
}

__global__ __launch_bounds__(threads) void add_parts(const float* parts, Index split, Epilogue epilogue, int m,
                                                     Index n) {
  Index at = static_cast<Index>(blockIdx.x) * threads + threadIdx.x;
  if (at >= m * n) return;
  float sum = 0;
  for (Index part = 0; part < split; ++part) sum += parts[part * m * n + at];
  epilogue(static_cast<int>(at / n), at % n, sum);
}

/// Calls f with m's, rounded up to a power of two.
template <class F>
void with_rows(Index m, F f) {
  if (m == 1) return f(std::integral_constant<int, 1>());
  if (m == 2) return f(std::integral_constant<int, 2>());
  if (m <= 4) return f(std::integral_constant<int, 4>());
  f(std::integral_constant<int, most_rows>());
}

/// Calls f with the operands' element types and m's bound.
template <class F>
void with_operands(const GemmArgs& g, F f) {
  auto with_b = [&](auto a) {
    auto with_a = [&](auto b) { with_rows(g.c.rows, [&](auto rows) { f(a, b, rows); }); };
    if (g.b.dtype == DType::f32) return with_a(float{});
    if (g.b.dtype == DType::f16) return with_a(f16{});
    with_a(bf16{});
  };
  g.a.dtype == DType::f32 ? with_b(float{}) : with_b(bf16{});
}

bool is_float(DType dtype) { return dtype == DType::f32 || dtype == DType::bf16; }

}  // namespace

bool is_gemv(const GemmArgs& g) {
  return g.c.rows >= 1 && g.c.rows <= most_rows && !g.transpose_a && !g.dropout.on() && is_float(g.a.dtype) &&
         is_float(g.c.dtype) && (is_float(g.b.dtype) || g.b.dtype == DType::f16);
}

std::size_t gemv_scratch(const GemmArgs& g) {
  Index split = g.transpose_b ? 1 : split_of(g.c.cols, inner(g));
  return split > 1 ? static_cast<std::size_t>(split * g.c.rows * g.c.cols) * sizeof(float) : 0;
}

void gemv(Device& device, const GemmArgs& g, void* scratch) {
  int m = static_cast<int>(g.c.rows);
  Index n = g.c.cols, k = inner(g);
  Epilogue epilogue(g);
  with_operands(g, [&](auto a, auto b, auto rows) {
    using A = decltype(a);
    using B = decltype(b);
    if (g.transpose_b) {
      int group = group_warps(n, k);
      auto blocks = static_cast<unsigned>(ceil_div(n, dots * (warps / group)));
      launch(device, dot_products<A, B, rows()>, blocks, threads, warps * rows() * dots * sizeof(float),
             Operand<A>(g.a), Operand<B>(g.b), epilogue, m, n, k, group, all_aligned({g.a, g.b}, eight));
    } else {
      Index part_rows = rows_of_part(k, split_of(n, k));
      dim3 grid(static_cast<unsigned>(ceil_div(n, block_columns)), static_cast<unsigned>(ceil_div(k, part_rows)));
      auto* parts = static_cast<float*>(scratch);
      launch(device, row_multiples<A, B, rows()>, grid, threads, warps * rows() * block_columns * sizeof(float),
             view<A>(g.a), Operand<B>(g.b), epilogue, parts, m, n, k, part_rows, all_aligned({g.b}, eight));
      if (grid.y > 1)
        launch(device, add_parts, blocks_for(m * n, threads), threads, 0, parts, Index{grid.y}, epilogue, m, n);
    }
  });
}

}  // namespace loragrad::cuda
