#include <cmath>

#include "ops/cuda/kernels.h"
#include "ops/cuda/operands.h"
#include "ops/cuda/scratch.h"
#include "ops/cuda/tensor_list.h"

namespace loragrad::cuda {
namespace {

constexpr int threads = 256, unit = unit_of<float>;
constexpr std::int64_t tile_elements = 4 * threads * unit;

struct Entry {
  ConstMatrix parameter, m, v, gradient;
  std::int64_t first_tile;
  bool flat_f32;  // all in f32, without gaps between rows, and aligned
};

/// What is the same for all elements; formed in f64.
template <class C>
struct Rates {
  explicit Rates(const AdamWArgs& args)
      : beta1(static_cast<C>(args.beta1)),
        beta2(static_cast<C>(args.beta2)),
        rest1(static_cast<C>(1 - args.beta1)),
        rest2(static_cast<C>(1 - args.beta2)),
        eps(static_cast<C>(args.eps)),
        decay(static_cast<C>(1 - args.lr * args.weight_decay)),
        step(static_cast<C>(args.lr / (1 - std::pow(args.beta1, static_cast<double>(args.step))))),
        root2(static_cast<C>(std::sqrt(1 - std::pow(args.beta2, static_cast<double>(args.step))))) {}
  C beta1, beta2, rest1, rest2, eps, decay, step, root2;

  __device__ void update(C& p, C& m, C& v, C g) const {
    m = beta1 * m + rest1 * g;
    v = beta2 * v + rest2 * g * g;
    p = decay * p - step * m / (std::sqrt(v) / root2 + eps);
  }
};

/// The update of a unit's elements.
template <class C, class X, int n, class At>
__device__ void update(const Entry& entry, const At& at, const Rates<C>& rates, C grad_scale) {
  Operand<X> parameter(entry.parameter), first(entry.m), second(entry.v), gradient(entry.gradient);
  auto p_in = parameter.template load<n>(at);
  auto m_in = first.template load<n>(at);
  auto v_in = second.template load<n>(at);
  auto g_in = gradient.template load<n>(at);
  C p[n], m[n], v[n];
#pragma unroll
  for (int i = 0; i < n; ++i) {
    p[i] = p_in.template get<C>(i), m[i] = m_in.template get<C>(i), v[i] = v_in.template get<C>(i);
    rates.update(p[i], m[i], v[i], g_in.template get<C>(i) * grad_scale);
  }
  first.store(at, m);
  second.store(at, v);
  parameter.store(at, p);
}

__global__ void __launch_bounds__(threads) adamw_kernel(const Entry* entries, int count, Rates<float> rates,
                                                        Rates<double> wide_rates, const double* grad_scale) {
  const Entry& entry = entry_of(entries, count, blockIdx.x);
  std::int64_t cols = entry.parameter.cols, size = entry.parameter.rows * cols;
  std::int64_t begin = (blockIdx.x - entry.first_tile) * tile_elements;
  std::int64_t end = begin + tile_elements < size ? begin + tile_elements : size;
  double scale = grad_scale ? *grad_scale : 1;
  if (entry.flat_f32) {
    std::int64_t whole = end - (end - begin) % unit;
    for (std::int64_t at = begin + threadIdx.x * unit; at < whole; at += threads * unit)
      update<float, float, unit>(entry, WholeUnit{0, at}, rates, static_cast<float>(scale));
    begin = whole;
  }
  // What is left, and tensors of other kinds: element by element, in f64.
  for (std::int64_t at = begin + threadIdx.x; at < end; at += threads)
    update<double, Any, 1>(entry, PartUnit{at / cols, at % cols, 1}, wide_rates, scale);
}

}  // namespace

std::size_t scratch_bytes(Device&, const AdamWArgs& args) { return args.tensors.size() * sizeof(Entry); }

void adamw(Device& device, const AdamWArgs& args, void* scratch) {
  std::vector<Entry> entries;
  std::int64_t tiles = 0;
  for (const AdamWTensor& tensor : args.tensors) {
    Entry entry{tensor.parameter, tensor.m, tensor.v, tensor.gradient, tiles, false};
    flatten(entry.parameter, entry.m, entry.v, entry.gradient);
    auto all = {entry.parameter, entry.m, entry.v, entry.gradient};
    bool f32 = std::all_of(all.begin(), all.end(), [](const ConstMatrix& m) { return m.dtype == DType::f32; });
    entry.flat_f32 = f32 && entry.parameter.rows <= 1 && all_aligned(all, unit);
    entries.push_back(entry);
    tiles += ceil_div(entry.parameter.rows * entry.parameter.cols, tile_elements);
  }
  if (tiles == 0) return;
  auto* list = Scratch(scratch).take<Entry>(static_cast<std::int64_t>(entries.size()));
  upload_list(device, list, entries);
  launch(device, adamw_kernel, static_cast<unsigned>(tiles), threads, 0, list, static_cast<int>(entries.size()),
         Rates<float>(args), Rates<double>(args), args.grad_scale);
}

}  // namespace loragrad::cuda
