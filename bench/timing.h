#pragma once
#include <algorithm>
#include <chrono>
#include <vector>

namespace loragrad::bench {

/// Wall seconds since it was made.
class Stopwatch {
 public:
  double seconds() const { return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count(); }

 private:
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

/// Wall seconds of one call.
template <class F>
double seconds(const F& f) {
  Stopwatch watch;
  f();
  return watch.seconds();
}

/// The middle one, of an even number the higher; `values` is not empty.
inline double median(std::vector<double> values) {
  auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

}  // namespace loragrad::bench
