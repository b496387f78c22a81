#include <limits>

#include "ops/cpu/dispatch.h"
#include "ops/cpu/kernels.h"

namespace loragrad::cpu {
namespace {

/// The first column of the largest of n values; -1 where one is a NaN.
template <class T>
std::int32_t argmax_of(const T* x, std::int64_t n) {
  constexpr std::int64_t lanes = 64;  // maxima side by side, which the compiler keeps in vectors
  T high[lanes], odd[lanes] = {};     // `odd` becomes NaN where a value was one
  std::fill(high, high + lanes, -std::numeric_limits<T>::infinity());
  auto see = [&](std::int64_t lane, T value) {
    high[lane] = value > high[lane] ? value : high[lane];
    odd[lane] += value == value ? T(0) : value;
  };
  std::int64_t i = 0;
  for (; i + lanes <= n; i += lanes)
    for (std::int64_t lane = 0; lane < lanes; ++lane) see(lane, x[i + lane]);
  for (std::int64_t lane = 0; i + lane < n; ++lane) see(lane, x[i + lane]);
  T highest = *std::max_element(high, high + lanes);
  if (std::any_of(odd, odd + lanes, [](T value) { return value != value; })) return -1;
  return static_cast<std::int32_t>(std::find(x, x + n, highest) - x);
}

}  // namespace

void argmax(Device& device, const ArgmaxArgs& args, void*) {
  threads_of(device).parallel_for(args.x.rows, [&](std::int64_t row) {
    const char* x = address(args.x, row, 0);
    args.ids[row] = args.x.dtype == DType::f64 ? argmax_of(reinterpret_cast<const double*>(x), args.x.cols)
                                               : argmax_of(reinterpret_cast<const float*>(x), args.x.cols);
  });
}

}  // namespace loragrad::cpu
