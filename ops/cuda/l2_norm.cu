#include <cmath>

#include "ops/cuda/kernels.h"
#include "ops/cuda/operands.h"
#include "ops/cuda/reduce.h"
#include "ops/cuda/scratch.h"
#include "ops/cuda/tensor_list.h"

namespace loragrad::cuda {
namespace {

constexpr int threads = 256;
constexpr std::int64_t tile_elements = 16384;

struct Entry {
  ConstMatrix x;
  std::int64_t first_tile;
  bool flat;  // without gaps between rows, and aligned
};

/// A thread's part of the squares of elements begin .. end - 1, which lie one behind the other.
template <class X>
__device__ double flat_squares(const ConstMatrix& x, std::int64_t begin, std::int64_t end) {
  constexpr int n = unit_of<X>;
  Operand<X> values(x);
  double sum = 0;
  auto add = [&](const Unit<X, n>& unit) {
#pragma unroll
    for (int i = 0; i < n; ++i) {
      auto value = unit.template get<double>(i);
      sum += value * value;
    }
  };
  std::int64_t at = begin + threadIdx.x * n;
#pragma unroll 4
  for (; at + n <= end; at += threads * n) add(values.template load<n>(WholeUnit{0, at}));
  if (at < end) add(values.template load<n>(PartUnit{0, at, static_cast<int>(end - at)}));
  return sum;
}
__device__ double squares(const ConstMatrix& x, std::int64_t begin, std::int64_t end) {
  Operand<Any> values(x);
  double sum = 0;
  for (std::int64_t at = begin + threadIdx.x; at < end; at += threads) {
    auto value = values.template load<1>(PartUnit{at / x.cols, at % x.cols, 1}).template get<double>(0);
    sum += value * value;
  }
  return sum;
}

__global__ void __launch_bounds__(threads) tile_squares_kernel(const Entry* entries, int count, double* partial) {
  const Entry& entry = entry_of(entries, count, blockIdx.x);
  const ConstMatrix& x = entry.x;
  std::int64_t begin = (blockIdx.x - entry.first_tile) * tile_elements, size = x.rows * x.cols;
  std::int64_t end = begin + tile_elements < size ? begin + tile_elements : size;
  double sum = 0;
  if (!entry.flat)
    sum = squares(x, begin, end);
  else if (x.dtype == DType::f32)
    sum = flat_squares<float>(x, begin, end);
  else if (x.dtype == DType::f64)
    sum = flat_squares<double>(x, begin, end);
  else
    sum = flat_squares<bf16>(x, begin, end);
  sum = block_reduce(sum, shared_memory<double>());
  if (threadIdx.x == 0) partial[blockIdx.x] = sum;
}

__global__ void __launch_bounds__(threads)
    norm_kernel(const double* partial, std::int64_t count, double max_norm, double* norm, double* clip) {
  double sum = 0;
#pragma unroll 8
  for (std::int64_t i = threadIdx.x; i < count; i += threads) sum += partial[i];
  sum = block_reduce(sum, shared_memory<double>());
  if (threadIdx.x != 0) return;
  double length = std::sqrt(sum), factor = max_norm / (length + 1e-6);
  *norm = length;
  if (clip) *clip = max_norm != 0 && factor < 1 ? factor : 1;
}

std::int64_t tiles_of(const ConstMatrix& x) { return ceil_div(x.rows * x.cols, tile_elements); }

struct Space {
  Space(const L2NormArgs& args, void* memory) {
    for (const ConstMatrix& x : args.x) tiles += tiles_of(x);
    Scratch scratch(memory);
    entries = scratch.take<Entry>(static_cast<std::int64_t>(args.x.size()));
    partial = scratch.take<double>(tiles);
    bytes = scratch.used();
  }
  std::int64_t tiles = 0;
  Entry* entries;
  double* partial;
  std::size_t bytes;
};

}  // namespace

std::size_t scratch_bytes(Device&, const L2NormArgs& args) { return Space(args, nullptr).bytes; }

void l2_norm(Device& device, const L2NormArgs& args, void* scratch) {
  Space space(args, scratch);
  std::vector<Entry> entries;
  std::int64_t first_tile = 0;
  for (ConstMatrix x : args.x) {
    flatten(x);
    entries.push_back({x, first_tile, x.rows <= 1 && all_aligned({x}, unit_of<bf16>)});
    first_tile += tiles_of(x);
  }
  if (space.tiles > 0) {
    upload_list(device, space.entries, entries);
    launch(device, tile_squares_kernel, static_cast<unsigned>(space.tiles), threads, warp_size * sizeof(double),
           space.entries, static_cast<int>(entries.size()), space.partial);
  }
  launch(device, norm_kernel, 1, threads, warp_size * sizeof(double), space.partial, space.tiles, args.max_norm,
         args.norm, args.clip);
}

}  // namespace loragrad::cuda
