#include "ops/cpu/gemv.h"

#include <algorithm>
#include <array>

#include "ops/cpu/kernels.h"
#include "ops/cpu/processor.h"
#include "ops/cpu/simd.h"

namespace loragrad::cpu {
namespace {

using Index = std::int64_t;
using S = Simd<float>;
using Vector = S::type;

constexpr int most_rows = 4;
constexpr Index column_block = 256;             // of c, whose sums stay in the first-level cache
constexpr Index cache_line = 64, ahead = 4096;  // bytes; how far before its use a weight is asked for
constexpr Index task_bytes = 64 << 10;          // of b, at least: less is not worth waking a thread for

bool is_float(DType dtype) { return dtype == DType::f32 || dtype == DType::bf16; }

/// c = alpha sum + bias + beta c, for one element.
struct Epilogue {
  void operator()(Index row, Index col, float sum) const {
    float value = alpha * sum + (bias ? bias[col] : 0);
    Index at = row * c.stride + col;
    if (c.dtype == DType::f32) {
      auto* to = static_cast<float*>(c.data) + at;
      *to = value + (beta != 0 ? beta * *to : 0);
    } else {
      auto* to = static_cast<bf16*>(c.data) + at;
      *to = bf16(value + (beta != 0 ? beta * static_cast<float>(*to) : 0));
    }
  }
  explicit Epilogue(const GemmArgs& g)
      : c(g.c),
        bias(static_cast<const float*>(g.bias)),
        alpha(static_cast<float>(g.alpha)),
        beta(static_cast<float>(g.beta)) {}
  Matrix c;
  const float* bias;
  float alpha, beta;
};

/// sums[r] = a_r · b over k elements; a_r is a + r k.
template <int rows, class B>
void dot_products(const float* a, const B* b, Index k, float* sums) {
  constexpr int unroll = rows == 1 ? 8 : rows == 2 ? 4 : 2;  // as many sums at once as hide an addition's latency
  Vector sum[rows][unroll] = {};
  Index p = 0;
  for (; p + unroll * S::width <= k; p += unroll * S::width) {
    for (Index line = 0; line < unroll * S::width; line += cache_line / static_cast<Index>(sizeof(B)))
      __builtin_prefetch(reinterpret_cast<const char*>(b + p + line) + ahead);
    for (int u = 0; u < unroll; ++u) {
      Vector w = load_f32(b + p + u * S::width);
      for (int r = 0; r < rows; ++r) sum[r][u] += S::load(a + r * k + p + u * S::width) * w;
    }
  }
  for (; p + S::width <= k; p += S::width) {
    Vector w = load_f32(b + p);
    for (int r = 0; r < rows; ++r) sum[r][0] += S::load(a + r * k + p) * w;
  }
  for (int r = 0; r < rows; ++r) {
    for (int u = 1; u < unroll; ++u) sum[r][0] += sum[r][u];
    float total = 0;
    for (int lane = 0; lane < S::width; ++lane) total += sum[r][0][lane];
    for (Index q = p; q < k; ++q) total += a[r * k + q] * static_cast<float>(b[q]);
    sums[r] = total;
  }
}

/// b as [columns of c, k]: a dot product with each row of it.
template <int rows, class B>
void by_rows_of_b(const GemmArgs& g, const float* a, Index begin, Index end) {
  Epilogue epilogue(g);
  float sums[rows];
  for (Index col = begin; col < end; ++col) {
    dot_products<rows>(a, static_cast<const B*>(g.b.data) + col * g.b.stride, g.a.cols, sums);
    for (int r = 0; r < rows; ++r) epilogue(r, col, sums[r]);
  }
}

/// b as [k, columns of c]: a multiple of each row of it is added to a block of sums.
template <int rows, class B>
void by_columns_of_b(const GemmArgs& g, const float* a, Index begin, Index end) {
  Epilogue epilogue(g);
  alignas(simd_bytes) float sums[rows][column_block];
  for (Index first = begin; first < end; first += column_block) {
    Index width = std::min(column_block, end - first), k = g.a.cols;
    std::fill(&sums[0][0], &sums[0][0] + rows * column_block, 0.0f);
    for (Index p = 0; p < k; ++p) {
      const B* b = static_cast<const B*>(g.b.data) + p * g.b.stride + first;
      Index j = 0;
      for (; j + S::width <= width; j += S::width) {
        Vector w = load_f32(b + j);
        for (int r = 0; r < rows; ++r) S::store(sums[r] + j, S::load(sums[r] + j) + a[r * k + p] * w);
      }
      for (; j < width; ++j)
        for (int r = 0; r < rows; ++r) sums[r][j] += a[r * k + p] * static_cast<float>(b[j]);
    }
    for (int r = 0; r < rows; ++r)
      for (Index j = 0; j < width; ++j) epilogue(r, first + j, sums[r][j]);
  }
}

using Part = void (*)(const GemmArgs&, const float* a, Index begin, Index end);
template <class B>
Part part_for(Index rows, bool transpose_b) {
  constexpr std::array<Part, most_rows> transposed{by_rows_of_b<1, B>, by_rows_of_b<2, B>, by_rows_of_b<3, B>,
                                                   by_rows_of_b<4, B>};
  constexpr std::array<Part, most_rows> plain{by_columns_of_b<1, B>, by_columns_of_b<2, B>, by_columns_of_b<3, B>,
                                              by_columns_of_b<4, B>};
  return (transpose_b ? transposed : plain)[static_cast<std::size_t>(rows - 1)];
}

}  // namespace

bool is_gemv(const GemmArgs& g) {
  return g.c.rows >= 1 && g.c.rows <= most_rows && !g.transpose_a && is_float(g.a.dtype) && is_float(g.b.dtype) &&
         is_float(g.c.dtype);
}

std::size_t gemv_workspace(const GemmArgs& g) { return static_cast<std::size_t>(g.a.rows * g.a.cols) * sizeof(float); }

void gemv(Device& device, const GemmArgs& g, void* workspace) {
  Matrix a{workspace, DType::f32, g.a.rows, g.a.cols, g.a.cols};
  accumulate(device, {g.a, 1, a, 0});
  Part part =
      g.b.dtype == DType::f32 ? part_for<float>(g.c.rows, g.transpose_b) : part_for<bf16>(g.c.rows, g.transpose_b);
  // Threads take chunks of columns as they come; each element is summed by itself, wherever its chunk begins.
  auto bytes = static_cast<Index>(bytes_of(g.b.dtype, g.b.rows * g.b.cols));
  Index tasks = std::clamp<Index>(bytes / task_bytes, 1, 8 * threads_of(device).size());
  Index chunk = ((g.c.cols + tasks - 1) / tasks + S::width - 1) / S::width * S::width;
  threads_of(device).parallel_for((g.c.cols + chunk - 1) / chunk, [&](Index i) {
    part(g, static_cast<const float*>(workspace), i * chunk, std::min(g.c.cols, (i + 1) * chunk));
  });
}

}  // namespace loragrad::cpu
