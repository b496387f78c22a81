#include <cmath>
#include <vector>

#include "ops/cpu/dispatch.h"
#include "ops/cpu/kernels.h"

namespace loragrad::cpu {
namespace {

/// A row of `cols` elements in C: `m` itself where it can be read in place, else a copy.
template <class C>
class Row {
 public:
  explicit Row(std::int64_t cols) : copy_(static_cast<std::size_t>(cols)) {}
  const C* read(const ConstMatrix& m, std::int64_t row) {
    const char* data = address(m, row, 0);
    if (m.dtype == dtype_of<C> && reinterpret_cast<std::uintptr_t>(data) % sizeof(C) == 0)
      return reinterpret_cast<const C*>(data);
    load(m, row, 0, m.cols, copy_.data());
    return copy_.data();
  }
  /// The same plus `offset`, in the copy where that is not 0.
  const C* read_plus(const ConstMatrix& m, double offset) {
    const C* row = read(m, 0);
    if (offset == 0) return row;
    for (std::size_t i = 0; i < copy_.size(); ++i) copy_[i] = row[i] + static_cast<C>(offset);
    return copy_.data();
  }
  C* data() { return copy_.data(); }

 private:
  std::vector<C> copy_;
};

template <class C>
ConstMatrix vector_of(const void* data, std::int64_t cols) {
  return {data, dtype_of<C>, 1, cols, cols};
}

template <class C>
void forward(Device& device, const NormArgs& args) {
  std::int64_t d = args.x.cols;
  C* means = static_cast<C*>(args.mean);
  C* rstds = static_cast<C*>(args.rstd);
  for_row_tiles(device, args.x.rows, d, [&](std::int64_t first, std::int64_t last) {
    Row<C> x_row(d), w_row(d), b_row(d), y_row(d);
    const C* w = w_row.read_plus(vector_of<C>(args.weight, d), args.weight_offset);
    const C* b = args.bias ? b_row.read(vector_of<C>(args.bias, d), 0) : nullptr;
    for (std::int64_t t = first; t < last; ++t) {
      const C* x = x_row.read(args.x, t);
      C mean = 0;
      if (args.center)
        mean = args.reuse_statistics ? means[t] : ordered_sum<C>(d, [&](std::int64_t i) { return x[i]; }) / C(d);
      C rstd;
      if (args.reuse_statistics) {
        rstd = rstds[t];
      } else {
        C squares = ordered_sum<C>(d, [&](std::int64_t i) { return (x[i] - mean) * (x[i] - mean); });
        rstd = C(1) / std::sqrt(squares / C(d) + static_cast<C>(args.eps));
        if (means) means[t] = mean;
        if (rstds) rstds[t] = rstd;
      }
      C* y = args.y.dtype == dtype_of<C> ? reinterpret_cast<C*>(address(args.y, t, 0)) : y_row.data();
      if (b)
        for (std::int64_t i = 0; i < d; ++i) y[i] = (x[i] - mean) * rstd * w[i] + b[i];
      else
        for (std::int64_t i = 0; i < d; ++i) y[i] = (x[i] - mean) * rstd * w[i];
      if (y == y_row.data()) store(y, 0, args.y, t, 0, d);
    }
  });
}

/// Sums of dweight and dbias are formed per tile of tokens first; at most 64 tiles, so that their memory stays small.
std::int64_t tile_rows(std::int64_t rows) { return std::max<std::int64_t>(16, (rows + 63) / 64); }
std::int64_t tiles(std::int64_t rows) { return (rows + tile_rows(rows) - 1) / tile_rows(rows); }

template <class C>
void add_tiles(Device& device, const C* partial, std::int64_t n, std::int64_t d, void* out) {
  C* sum = static_cast<C*>(out);
  for_row_tiles(device, d, n, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t tile = 0; tile < n; ++tile)
      for (std::int64_t i = begin; i < end; ++i) sum[i] += partial[tile * d + i];
  });
}

/// With g = dy w and n = (x - mean) rstd:
///   RMSNorm:   dx = rstd (g - n mean(g n))          LayerNorm:   dx = rstd (g - mean(g) - n mean(g n))
///   dweight = sum of dy n,  dbias = sum of dy
template <class C>
void backward(Device& device, const NormBackwardArgs& args, void* workspace) {
  std::int64_t rows = args.x.rows, d = args.x.cols, tile = tile_rows(rows);
  const C* means = static_cast<const C*>(args.mean);
  const C* rstds = static_cast<const C*>(args.rstd);
  C* dw_parts = args.dweight.rows > 0 ? static_cast<C*>(workspace) : nullptr;
  C* db_parts = args.dbias.rows > 0 ? static_cast<C*>(workspace) + (dw_parts ? tiles(rows) * d : 0) : nullptr;
  threads_of(device).parallel_for(tiles(rows), [&](std::int64_t task) {
    Row<C> x_row(d), dy_row(d), w_row(d), dx_row(d);
    const C* w = w_row.read_plus(vector_of<C>(args.weight, d), args.weight_offset);
    C* dw = dw_parts ? dw_parts + task * d : nullptr;
    C* db = db_parts ? db_parts + task * d : nullptr;
    if (dw) std::fill(dw, dw + d, C(0));
    if (db) std::fill(db, db + d, C(0));
    for (std::int64_t t = task * tile; t < std::min(rows, (task + 1) * tile); ++t) {
      const C* x = x_row.read(args.x, t);
      const C* dy = dy_row.read(args.dy, t);
      C mean = args.center ? means[t] : C(0), rstd = rstds[t];
      if (dw)
        for (std::int64_t i = 0; i < d; ++i) dw[i] += dy[i] * ((x[i] - mean) * rstd);
      if (db)
        for (std::int64_t i = 0; i < d; ++i) db[i] += dy[i];
      if (args.dx.rows == 0) continue;
      C g_mean = args.center ? ordered_sum<C>(d, [&](std::int64_t i) { return dy[i] * w[i]; }) / C(d) : C(0);
      C gn_mean = ordered_sum<C>(d, [&](std::int64_t i) { return dy[i] * w[i] * ((x[i] - mean) * rstd); }) / C(d);
      C* dx = dx_row.data();
      for (std::int64_t i = 0; i < d; ++i) dx[i] = rstd * (dy[i] * w[i] - g_mean - (x[i] - mean) * rstd * gn_mean);
      store(dx, args.beta, args.dx, t, 0, d);
    }
  });
  if (dw_parts) add_tiles(device, dw_parts, tiles(rows), d, args.dweight.data);
  if (db_parts) add_tiles(device, db_parts, tiles(rows), d, args.dbias.data);
}

}  // namespace

void norm(Device& device, const NormArgs& args, void*) {
  args.x.dtype == DType::f64 ? forward<double>(device, args) : forward<float>(device, args);
}

std::size_t scratch_bytes(Device&, const NormBackwardArgs& args) {
  auto sums = static_cast<std::size_t>(tiles(args.x.rows) * args.x.cols) *
              (args.x.dtype == DType::f64 ? sizeof(double) : sizeof(float));
  return sums * ((args.dweight.rows > 0 ? 1u : 0u) + (args.dbias.rows > 0 ? 1u : 0u));
}

void norm_backward(Device& device, const NormBackwardArgs& args, void* workspace) {
  args.x.dtype == DType::f64 ? backward<double>(device, args, workspace) : backward<float>(device, args, workspace);
}

}  // namespace loragrad::cpu
