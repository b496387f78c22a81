#include "ops/cuda/kernels.h"
#include "ops/cuda/reduce.h"
#include "ops/cuda/units.h"

namespace loragrad::cuda {
namespace {

/// out[t] = scale * table[ids[t]] + beta out[t]
template <class X, class Y>
struct Lookup {
  using C = Computing<X, Y>;
  static constexpr int unit = unit_of<X, Y>, batch = 2;
  Operand<X> table;
  Target<Y, C> out;
  const std::int32_t* ids;
  C scale;
  struct Loaded {
    Unit<X, unit> row;
    Unit<Y, unit> out;
  };
  template <class At>
  __device__ Loaded load(const At& at) const {
    At from = at;
    from.row = ids[at.row];
    return {table.template load<unit>(from), out.template load<unit>(at)};
  }
  template <class At>
  __device__ void finish(const At& at, const Loaded& loaded) const {
    C values[unit];
#pragma unroll
    for (int i = 0; i < unit; ++i) values[i] = scale * loaded.row.template get<C>(i);
    out.store(at, values, loaded.out);
  }
};

/// y[rows[t]] = x[t]
template <class X>
struct Put {
  using C = Computing<X>;
  static constexpr int unit = unit_of<X>, batch = 2;
  Operand<X> x, y;
  const std::int32_t* rows;
  using Loaded = Unit<Held<X>, unit>;
  template <class At>
  __device__ Loaded load(const At& at) const {
    return x.template load<unit>(at);
  }
  template <class At>
  __device__ void finish(const At& at, const Loaded& loaded) const {
    C values[unit];
#pragma unroll
    for (int i = 0; i < unit; ++i) values[i] = loaded.template get<C>(i);
    At to = at;
    to.row = rows[at.row];
    y.store(to, values);
  }
};

constexpr int threads = 256;

/// dtable[ids[t]] += scale dout[t] for all tokens of one id, by the block of the first of them, and of the columns that
/// belong to blockIdx.y. The block looks through the later tokens, as many at a time as it has threads; which of them
/// have the id it keeps in shared memory, in order, and each thread adds their elements of its unit.
template <class X, class Y>
__global__ void __launch_bounds__(threads)
    scatter_kernel(Operand<X> dout, Operand<Y> dtable, const std::int32_t* ids, std::int64_t tokens, std::int64_t cols,
                   Computing<X, Y> scale, bool aligned) {
  using C = Computing<X, Y>;
  constexpr int n = unit_of<X, Y>;
  auto* matches = shared_memory<std::int64_t>();             // [threads]
  auto* counts = reinterpret_cast<int*>(matches + threads);  // [warps]
  auto thread = static_cast<int>(threadIdx.x), lane = thread % warp_size, warp = thread / warp_size;
  std::int64_t token = blockIdx.x, id = ids[token];
  int earlier = 0;
  for (std::int64_t t = thread; t < token; t += threads) earlier |= ids[t] == id;
  if (block_reduce<Larger>(earlier, counts)) return;

  std::int64_t col = (std::int64_t{blockIdx.y} * threads + thread) * n, left = cols - col;
  for (std::int64_t first = token; first < tokens; first += threads) {
    bool match = first + thread < tokens && ids[first + thread] == id;
    unsigned lanes = __ballot_sync(all_lanes, match);
    if (lane == 0) counts[warp] = __popc(lanes);
    __syncthreads();
    int count = 0, before = __popc(lanes & ((1u << lane) - 1));
    for (int i = 0; i < threads / warp_size; ++i) {
      if (i < warp) before += counts[i];
      count += counts[i];
    }
    if (match) matches[before] = first + thread;
    __syncthreads();
    auto add = [&](auto at) {
      C sum[n] = {};
      at.row = id;
      add_scaled(sum, C(1), dtable.template load<n>(at));
#pragma unroll 4
      for (int i = 0; i < count; ++i) {
        auto from = at;
        from.row = matches[i];
        add_scaled(sum, scale, dout.template load<n>(from));
      }
      dtable.store(at, sum);
    };
    if (count > 0 && aligned && left >= n)
      add(WholeUnit{0, col});
    else if (count > 0 && left > 0)
      add(PartUnit{0, col, left < n ? static_cast<int>(left) : n});
    __syncthreads();
  }
}

}  // namespace

void embedding(Device& device, const EmbeddingArgs& args, void*) {
  const WeightView& table = args.table;
  const Matrix& out = args.out;
  with_stored_type(table.dtype, [&](auto from) {
    with_type(out.dtype, [&](auto to) {
      using F = Lookup<decltype(from), decltype(to)>;
      using C = typename F::C;
      F f{Operand<decltype(from)>(table),
          {Operand<decltype(to)>(out), static_cast<C>(args.beta)},
          args.ids,
          static_cast<C>(args.scale)};
      for_units(device, out.rows, out.cols, {table, out}, f);
    });
  });
}

void embedding_backward(Device& device, const EmbeddingBackwardArgs& args, void*) {
  const ConstMatrix& dout = args.dout;
  const Matrix& dtable = args.dtable;
  if (dout.rows == 0 || dout.cols == 0) return;
  with_type(dout.dtype, [&](auto from) {
    with_type(dtable.dtype, [&](auto to) {
      using X = decltype(from);
      using Y = decltype(to);
      constexpr int n = unit_of<X, Y>;
      dim3 grid(static_cast<unsigned>(dout.rows), static_cast<unsigned>(ceil_div(dout.cols, threads * n)));
      std::size_t shared = threads * sizeof(std::int64_t) + warp_size * sizeof(int);
      launch(device, scatter_kernel<X, Y>, grid, threads, shared, Operand<X>(dout), Operand<Y>(dtable), args.ids,
             dout.rows, dout.cols, args.scale, all_aligned({dout, dtable}, n));
    });
  });
}

void put_rows(Device& device, const PutRowsArgs& args, void*) {
  with_common_type({args.x, args.y}, [&](auto type) {
    using X = decltype(type);
    for_units(device, args.x.rows, args.x.cols, {args.x, args.y},
              Put<X>{Operand<X>(args.x), Operand<X>(args.y), args.rows});
  });
}

}  // namespace loragrad::cuda
