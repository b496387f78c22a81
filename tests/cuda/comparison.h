#pragma once
#include <cmath>
#include <cstdlib>
#include <functional>
#include <limits>
#include <string>
#include <vector>

#include "engine/random.h"
#include "ops/cpu/cpu_device.h"
#include "ops/cuda/cuda_device.h"
#include "tests/ops/op_case.h"

// Compiled with the backend's namespace, so that it tests the one that runs on a GPU or the one in emulation.
namespace loragrad::test {

constexpr double nan = std::numeric_limits<double>::quiet_NaN();
constexpr DType reals[] = {DType::f32, DType::f64, DType::bf16};

/// One matrix on the processor and on the GPU, among columns that nobody may touch.
struct Pair {
  Tensor tensors[2];
  std::int64_t cols = 0, gap = 0;
  Matrix matrix(int which) {
    return tensors[which].defined() ? column_range(tensors[which].mutable_matrix(), gap, cols) : Matrix{};
  }
};

class Comparison {
 public:
  explicit Comparison(std::uint64_t seed)
      : random_(seed, 1), mode_(seed), devices_{cpu_device(1), cuda::cuda_device({.single_blocks = true})} {}

  std::int64_t below(std::int64_t bound) {
    return static_cast<std::int64_t>(random_.below(static_cast<std::uint64_t>(bound)));
  }
  DType real() { return reals[below(3)]; }
  double beta() { return std::vector<double>{0, 1, -0.5}[static_cast<std::size_t>(below(3))]; }
  bool flip() { return below(2) == 1; }
  /// Small, odd, and such that units are whole.
  std::int64_t size() {
    switch (below(4)) {
      case 0:
        return 1 + below(9);
      case 1:
        return 8 * (1 + below(40));
      case 2:
        return 1 + below(700);
      default:
        return 64 * (1 + below(12));
    }
  }
  /// Every other comparison has no gaps at all, every fourth only such that units stay aligned.
  std::int64_t gap() {
    if (mode_ % 2 == 0) return 0;
    if (mode_ % 4 == 1) return std::vector<std::int64_t>{0, 8, 16}[static_cast<std::size_t>(below(3))];
    return std::vector<std::int64_t>{0, 0, 8, 16, 3, 1, 4}[static_cast<std::size_t>(below(7))];
  }

  Pair make_with_gap(std::int64_t rows, std::int64_t cols, DType dtype, std::int64_t gap, bool unset) {
    std::vector<double> values(static_cast<std::size_t>(rows * (cols + 2 * gap)));
    for (double& value : values) value = static_cast<float>(bf16(static_cast<float>(random_.normal())));
    if (unset)
      for (std::size_t i = 0; i < values.size(); ++i)
        if (inside(i, cols, gap)) values[i] = nan;
    Pair pair{{}, cols, gap};
    for (int which : {0, 1}) pair.tensors[which] = make_tensor(devices_[which], {rows, cols + 2 * gap}, dtype, values);
    return pair;
  }
  Pair make(std::int64_t rows, std::int64_t cols, DType dtype, bool unset = false) {
    return make_with_gap(rows, cols, dtype, gap(), unset);
  }
  Pair dense(std::int64_t rows, std::int64_t cols, DType dtype) { return make_with_gap(rows, cols, dtype, 0, false); }
  Pair integers(std::int64_t rows, std::int64_t cols, std::int64_t bound) {
    std::vector<std::int32_t> values(static_cast<std::size_t>(rows * cols));
    for (auto& value : values) value = static_cast<std::int32_t>(below(bound));
    Pair pair{{}, cols, 0};
    for (int which : {0, 1}) pair.tensors[which] = Tensor::from(devices_[which], {rows, cols}, values.data());
    return pair;
  }
  template <class F>
  void run(F f) {
    for (int which : {0, 1}) f(*devices_[which], which);
  }
  /// "" where both agree.
  std::string differ(const char* what, Pair& pair, double tolerance, bool exact_elsewhere = true) {
    std::vector<double> a = read_values(pair.tensors[0]), b = read_values(pair.tensors[1]);
    double largest = 1;
    for (double v : a)
      if (std::isfinite(v)) largest = std::max(largest, std::abs(v));
    for (std::size_t i = 0; i < a.size(); ++i) {
      bool in = inside(i, pair.cols, pair.gap);
      bool same = std::isnan(a[i]) || std::isnan(b[i]) ? std::isnan(a[i]) && std::isnan(b[i])
                  : in || !exact_elsewhere             ? std::abs(a[i] - b[i]) <= tolerance * largest
                                                       : a[i] == b[i];
      if (!same)
        return std::string(what) + "[" + std::to_string(i) + "] " + std::string(name_of(pair.tensors[0].dtype())) +
               pair.tensors[0].shape().text() + " gap " + std::to_string(pair.gap) + ": " + std::to_string(a[i]) +
               " and " + std::to_string(b[i]);
    }
    return "";
  }
  static double tolerance(std::initializer_list<DType> types) {
    double t = 1e-12;
    for (DType d : types) t = std::max(t, d == DType::bf16 ? 1.6e-2 : d == DType::f32 ? 2e-6 : 0);
    return t;
  }

 private:
  static bool inside(std::size_t i, std::int64_t cols, std::int64_t gap) {
    std::int64_t col = static_cast<std::int64_t>(i) % (cols + 2 * gap) - gap;
    return col >= 0 && col < cols;
  }
  Random random_;
  std::uint64_t mode_;
  DevicePtr devices_[2];
};

inline int rounds() {
  const char* given = std::getenv("LORAGRAD_ROUNDS");
  return given ? std::atoi(given) : 20;
}
inline Activation kind_of(std::int64_t i) { return static_cast<Activation>(i); }

/// Calls f(a comparison) so many times.
inline void each_round(const std::function<void(Comparison&)>& f) {
  for (int seed = 0; seed < rounds(); ++seed) {
    Comparison comparison(static_cast<std::uint64_t>(seed));
    f(comparison);
  }
}

}  // namespace loragrad::test
