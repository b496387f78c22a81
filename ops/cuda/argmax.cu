#include <limits>

#include "ops/cuda/kernels.h"
#include "ops/cuda/launch.h"
#include "ops/cuda/reduce.h"
#include "ops/cuda/values.h"

namespace loragrad::cuda {
namespace {

constexpr int threads = 512;

struct Smaller {
  template <class C>
  __device__ C operator()(C a, C b) const {
    return b < a ? b : a;
  }
};

/// A block for each row: its largest value, then the first column that has it.
template <class X>
__global__ void __launch_bounds__(threads) argmax_kernel(View<const X> x, std::int64_t cols, std::int32_t* ids) {
  auto row = static_cast<std::int64_t>(blockIdx.x);
  int first = static_cast<int>(threadIdx.x), count = static_cast<int>(cols);
  X high = -std::numeric_limits<X>::infinity();
  int odd = 0;  // whether there is a NaN, which is larger than nothing
  for (int c = first; c < count; c += threads) {
    X value = x(row, c);
    odd |= value != value;
    high = high < value ? value : high;
  }
  high = block_reduce<Larger>(high, shared_memory<X>());
  odd = block_reduce<Larger>(odd, shared_memory<int>());
  int at = count;
  for (int c = first; c < count; c += threads)
    if (x(row, c) == high) {
      at = c;
      break;
    }
  at = block_reduce<Smaller>(at, shared_memory<int>());
  if (first == 0) ids[row] = odd ? -1 : at;
}

}  // namespace

void argmax(Device& device, const ArgmaxArgs& args, void*) {
  if (args.x.rows == 0) return;
  dim3 grid(static_cast<unsigned>(args.x.rows));
  auto run = [&](auto x) {
    using X = decltype(x);
    launch(device, argmax_kernel<X>, grid, dim3(threads), warp_size * sizeof(X), view<X>(args.x), args.x.cols,
           args.ids);
  };
  args.x.dtype == DType::f64 ? run(double{}) : run(float{});
}

}  // namespace loragrad::cuda
