#include <algorithm>
#include <cmath>

#include "ops/cpu/dispatch.h"
#include "ops/cpu/kernels.h"

namespace loragrad::cpu {
namespace {

constexpr std::int64_t strip = 64;  // columns, or outputs of a map, that a thread takes at once

/// Of each of n outputs from `first` on, the square of its row of W.
void add_squares(const WeightView& w, bool in_out, std::int64_t first, std::int64_t n, double* squares) {
  if (in_out) {
    double values[strip];
    for (std::int64_t row = 0; row < w.rows; ++row) {
      load(w, row, first, n, values);
      for (std::int64_t j = 0; j < n; ++j) squares[j] += values[j] * values[j];
    }
    return;
  }
  for (std::int64_t j = 0; j < n; ++j) {
    Block<double> values, sum = Block<double>::Zero();
    for_row_blocks(w.cols, [&](std::int64_t col, std::int64_t count) {
      load(w, first + j, col, count, values);
      sum += values * values;
    });
    squares[j] += ordered_sum<double>(block_size, [&](std::int64_t i) { return sum[i]; });
  }
}

void add_products(const WeightNormsArgs& args, std::int64_t first, std::int64_t n, double* squares) {
  double product[strip], b;
  for (std::int64_t k = 0; k < args.product.rows; ++k) {
    load(args.product, k, first, n, product);
    for (std::int64_t j = 0; j < n; ++j) {
      load(args.b, first + j, k, 1, &b);
      squares[j] += product[j] * b;
    }
  }
}

template <class C>
void finish(const WeightNormsArgs& args, std::int64_t first, std::int64_t n, const C* norm) {
  C magnitude[strip], factor[strip], inverse[strip];
  load(args.magnitude, 0, first, n, magnitude);
  for (std::int64_t j = 0; j < n; ++j) {
    factor[j] = norm[j] > 0 ? magnitude[j] / norm[j] : C(1);
    inverse[j] = norm[j] > 0 ? C(1) / norm[j] : C(0);
  }
  store(factor, 0, args.factor, 0, first, n);
  store(inverse, 0, args.inverse, 0, first, n);
}

}  // namespace

void scale_each(Device& device, const ScaleEachArgs& args, void*) {
  const ConstMatrix& x = args.x;
  with_scalar({x, args.y}, [&](auto scalar) {
    using C = decltype(scalar);
    for_blocks(device, x.rows, x.cols, [&](std::int64_t row, std::int64_t col, std::int64_t n) {
      Block<C> values, factors;
      load(x, row, col, n, values);
      if (args.by_row) {
        C factor;
        load(args.factors, 0, row, 1, &factor);
        factors.setConstant(factor);
      } else {
        load(args.factors, 0, col, n, factors);
      }
      values *= factors * static_cast<C>(args.alpha) + static_cast<C>(args.offset);
      store(values, args.beta, args.y, row, col, n);
    });
  });
}

void column_dot(Device& device, const ColumnDotArgs& args, void*) {
  const ConstMatrix& a = args.a;
  // Strips as column_sum has them: each is summed by one thread, in f64.
  threads_of(device).parallel_for((a.cols + strip - 1) / strip, [&](std::int64_t task) {
    std::int64_t col = task * strip, n = std::min(strip, a.cols - col);
    double sum[strip] = {};
    with_scalar({a, args.out}, [&](auto scalar) {
      using C = decltype(scalar);
      C left[strip], right[strip];
      for (std::int64_t row = 0; row < a.rows; ++row) {
        load(a, row, col, n, left);
        load(args.b, row, col, n, right);
        for (std::int64_t j = 0; j < n; ++j) sum[j] += double{left[j] * right[j]};
      }
    });
    store(sum, 1, args.out, 0, col, n);
  });
}

void weight_norms(Device& device, const WeightNormsArgs& args, void*) {
  with_scalar({args.norm}, [&](auto scalar) {
    using C = decltype(scalar);
    threads_of(device).parallel_for((args.norm.cols + strip - 1) / strip, [&](std::int64_t task) {
      std::int64_t first = task * strip, n = std::min(strip, args.norm.cols - first);
      C norm[strip];
      if (args.w.rows > 0) {
        double squares[strip] = {};
        add_squares(args.w, args.in_out, first, n, squares);
        add_products(args, first, n, squares);
        // Where a row is nearly gone, what is left of its square may be a rounding below 0; NaN stays NaN.
        for (std::int64_t j = 0; j < n; ++j) norm[j] = static_cast<C>(std::sqrt(squares[j] < 0 ? 0 : squares[j]));
        store(norm, 0, args.norm, 0, first, n);
      } else {
        load(args.norm, 0, first, n, norm);
      }
      if (args.magnitude.data) finish(args, first, n, norm);
    });
  });
}

void rescale(Device& device, const RescaleArgs& args, void*) {
  const Matrix& y = args.y;
  with_scalar({args.u, y}, [&](auto scalar) {
    using C = decltype(scalar);
    for_blocks(device, y.rows, y.cols, [&](std::int64_t row, std::int64_t col, std::int64_t n) {
      Block<C> v, l, factors, change;
      load(args.u, row, col, n, v);
      load(args.l, row, col, n, l);
      load(args.factors, 0, col, n, factors);
      if (args.bias.data) {
        Block<C> bias;
        load(args.bias, 0, col, n, bias);
        v -= bias;
      }
      change = ((factors - C(1)) * v + factors * l) * static_cast<C>(args.weight);
      store(change, 1, y, row, col, n);
      if (!args.e.data) return;
      v += l;
      store(v, 0, args.e, row, col, n);
    });
  });
}

}  // namespace loragrad::cpu
