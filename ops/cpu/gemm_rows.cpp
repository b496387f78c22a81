#include "ops/cpu/gemm_rows.h"

#include <algorithm>
#include <cstring>

#include "ops/cpu/attention_products.h"
#include "ops/cpu/gemm_rows_sums.h"
#include "ops/cpu/kernels.h"
#include "ops/cpu/processor.h"

namespace loragrad::cpu {
namespace {

using Index = std::int64_t;

constexpr Index few_rows = 4;             // that it takes without being asked
constexpr Index task_bytes = 64 << 10;    // of b, at least: less is not worth waking a thread for
constexpr Index task_products = 1 << 20;  // or so many, where there are more rows
constexpr Index short_row = 64;           // of b, in elements: as long as most adapters' ranks are
constexpr Index converted_rows = 256;     // of a, at a time

#ifdef __AVX512BF16__
constexpr bool has_pairs = true;
#else
constexpr bool has_pairs = false;
#endif

/// The type in which rows of a are multiplied.
DType type_of_rows(const GemmArgs& g) {
  if (g.a.dtype == DType::f64) return DType::f64;
  return has_pairs && g.a.dtype == DType::bf16 && g.b.dtype == DType::bf16 ? DType::bf16 : DType::f32;
}
bool is_converted(const GemmArgs& g) { return g.a.dtype != type_of_rows(g); }

template <class T, class B>
RowsOf<T> rows_of(const B& m) {
  return {static_cast<const T*>(m.data), m.stride, m.cols};
}

/// c = alpha sums + bias + beta c, for a vector of columns.
template <class T>
class Result {
 public:
  using Vector = typename Simd<T>::type;
  explicit Result(const GemmArgs& g) : g_(g) {}
  void put(Index row, Index col, Index count, Vector sums) const {
    Vector value{};
    if (g_.bias) value = load(static_cast<const T*>(g_.bias) + col, count);
    value = fma(broadcast(static_cast<T>(g_.alpha)), sums, value);
    Index at = row * g_.c.stride + col;
    if constexpr (std::is_same_v<T, double>)
      write(static_cast<double*>(g_.c.data) + at, count, value);
    else if (g_.c.dtype == DType::f32)
      write(static_cast<float*>(g_.c.data) + at, count, value);
    else
      write(static_cast<bf16*>(g_.c.data) + at, count, value);
  }

 private:
  template <class C>
  static Vector load(const C* from, Index count) {
    return count == Simd<T>::width ? load_units<T>(from) : load_units<T>(from, count);
  }
  template <class C>
  void write(C* to, Index count, Vector value) const {
    if (g_.beta != 0) value = fma(broadcast(static_cast<T>(g_.beta)), load(to, count), value);
    C some[Simd<T>::width];
    C* whole = count == Simd<T>::width ? to : some;
    if constexpr (std::is_same_v<C, bf16>)
      store_bf16(whole, value);
    else
      Simd<C>::store(whole, value);
    if (whole != to) std::memcpy(to, some, static_cast<std::size_t>(count) * sizeof(C));
  }
  const GemmArgs& g_;
};

struct Range {
  Index begin, end;
};

/// Calls f(row) with as many rows at once as there are, one template for each number.
template <class F>
void in_groups(Range rows, F f) {
  auto take = [&]<int size>(std::integral_constant<int, size>) {
    if constexpr (size <= most_rows_at_once)
      for (; rows.end - rows.begin >= size; rows.begin += size) f.template operator()<size>(rows.begin);
  };
  take(std::integral_constant<int, 8>());
  take(std::integral_constant<int, 4>());
  take(std::integral_constant<int, 2>());
  take(std::integral_constant<int, 1>());
}

/// b as [columns of c, k] with rows so short that the lanes' sums would be most of the work (an adapter's B): some of
/// its rows are turned into columns first.
template <class U, class B>
void by_short_rows_of_b(const GemmArgs& g, Range rows, Range cols) {
  using S = Simd<SumOf<U>>;
  constexpr Index width = panel_width<U>;
  Result<SumOf<U>> result(g);
  auto a = rows_of<ElementOf<U>>(g.a);
  auto b = rows_of<B>(g.b);
  Index depth = units<U>(a.k);
  alignas(simd_bytes) U panel[short_row * width];
  for (Index col = cols.begin; col < cols.end; col += width) {
    Index count = std::min(width, cols.end - col);
    pack_transposed(b[col], b.stride, count, a.k, panel);
    in_groups(rows, [&]<int size>(Index row) {
      U some[size][short_row];
      alignas(simd_bytes) SumOf<U> sums[size][width];
      for (int r = 0; r < size; ++r) units_along(a[row + r], a.k, depth, some[r]);
      micro_product<U, size>(depth, some[0], short_row, 1, panel, width, sums[0], width, false);
      for (int r = 0; r < size; ++r)
        for (Index at = 0; at < count; at += S::width)
          result.put(row + r, col + at, std::min<Index>(S::width, count - at), S::load(sums[r] + at));
    });
  }
}

/// b as [columns of c, k]: dot products of rows.
template <class U, class B>
void by_rows_of_b(const GemmArgs& g, Range rows, Range cols) {
  using S = Simd<SumOf<U>>;
  Result<SumOf<U>> result(g);
  auto a = rows_of<ElementOf<U>>(g.a);
  auto b = rows_of<B>(g.b);
  for (Index col = cols.begin; col < cols.end; col += S::width) {
    Index count = std::min<Index>(S::width, cols.end - col);
    in_groups(rows, [&]<int size>(Index row) {
      typename S::type lanes[size][S::width];
      if (count < S::width) std::fill_n(lanes[0], size * S::width, typename S::type{});
      dot_products<size, U>(a, row, b, col, count, lanes);
      for (int r = 0; r < size; ++r) result.put(row + r, col, count, add_lanes<SumOf<U>>(lanes[r]));
    });
  }
}

/// b as [k, columns of c]: multiples of its rows are added to a block of sums.
template <class U, class B>
void by_columns_of_b(const GemmArgs& g, Range rows, Range cols) {
  using S = Simd<SumOf<U>>;
  Result<SumOf<U>> result(g);
  auto a = rows_of<ElementOf<U>>(g.a);
  auto b = rows_of<B>(g.b);
  for (Index col = cols.begin; col < cols.end; col += column_block) {
    Index count = std::min(column_block, cols.end - col);
    in_groups(rows, [&]<int size>(Index row) {
      alignas(simd_bytes) SumOf<U> sums[size][column_block] = {};
      add_columns<size, U>(a, row, b, col, count, sums);
      for (int r = 0; r < size; ++r)
        for (Index at = 0; at < count; at += S::width)
          result.put(row + r, col + at, std::min<Index>(S::width, count - at), S::load(sums[r] + at));
    });
  }
}

using Part = void (*)(const GemmArgs&, Range rows, Range cols);
template <class U, class B>
Part part_of(const GemmArgs& g) {
  if constexpr (!std::is_same_v<U, double>)
    if (g.transpose_b && g.a.cols <= short_row) return by_short_rows_of_b<U, B>;
  return g.transpose_b ? by_rows_of_b<U, B> : by_columns_of_b<U, B>;
}
Part part_for(const GemmArgs& g) {
  auto with_unit = [&]<class U>(U) -> Part {
    if (g.b.dtype == DType::bf16) return part_of<U, bf16>(g);
    if (g.b.dtype == DType::f16) return part_of<U, f16>(g);
    return part_of<U, float>(g);
  };
#ifdef __AVX512BF16__
  if (g.a.dtype == DType::bf16) return part_of<Pair, bf16>(g);
#endif
  if (g.a.dtype == DType::f32) return with_unit(float{});
  return g.b.dtype == DType::f64 ? part_of<double, double>(g) : with_unit(double{});
}

/// Threads take parts as they come: columns, and rows where there are more than columns to share out. Each element is
/// summed by itself, wherever its part begins.
void multiply_rows(Device& device, const GemmArgs& g) {
  Part part = part_for(g);
  Index m = g.c.rows, n = g.c.cols, width = simd_bytes / 4;
  auto bytes = static_cast<Index>(bytes_of(g.b.dtype, g.b.rows * g.b.cols));
  Index tasks = std::clamp<Index>(std::max(bytes / task_bytes, m * n * g.a.cols / task_products), 1,
                                  Index{8} * threads_of(device).size());
  auto pieces = [](Index size, Index piece) { return (size + piece - 1) / piece; };
  Index across = std::min(tasks, pieces(n, width)),
        down = std::min(pieces(tasks, across), pieces(m, most_rows_at_once));
  Index cols = pieces(pieces(n, across), width) * width;
  Index rows = pieces(pieces(m, down), most_rows_at_once) * most_rows_at_once;
  across = pieces(n, cols);
  threads_of(device).parallel_for(across * pieces(m, rows), [&](Index i) {
    Index row = i / across * rows, col = i % across * cols;
    part(g, {row, std::min(m, row + rows)}, {col, std::min(n, col + cols)});
  });
}

}  // namespace

bool is_gemm_rows(const GemmArgs& g) {
  if (g.rows_alone) return !g.transpose_a;
  return g.c.rows >= 1 && g.c.rows <= few_rows && !g.transpose_a && g.a.dtype != DType::f64 && g.b.dtype != DType::f64;
}

std::size_t gemm_rows_workspace(const GemmArgs& g) {
  return is_converted(g) ? bytes_of(type_of_rows(g), std::min(g.c.rows, converted_rows) * g.a.cols) : 0;
}

void gemm_rows(Device& device, const GemmArgs& g, void* workspace) {
  if (!is_converted(g)) return multiply_rows(device, g);
  for (Index row = 0; row < g.c.rows; row += converted_rows) {
    Index count = std::min(converted_rows, g.c.rows - row);
    GemmArgs some = g;
    Matrix a{workspace, type_of_rows(g), count, g.a.cols, g.a.cols};
    accumulate(device, {row_range(g.a, row, count), 1, a, 0});
    some.a = a;
    some.c = row_range(g.c, row, count);
    multiply_rows(device, some);
  }
}

}  // namespace loragrad::cpu
