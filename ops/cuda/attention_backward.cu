#include "ops/cuda/attention_block.h"
#include "ops/cuda/attention_fma.h"
#include "ops/cuda/attention_mma.h"
#include "ops/cuda/attention_softmax.h"
#include "ops/cuda/kernels.h"
#include "ops/cuda/launch.h"
#include "ops/cuda/scratch.h"

namespace loragrad::cuda {
namespace {

template <class X>
struct Backward {
  using C = SumOf<X>;
  AttentionShape shape;
  HeadMatrix<const X> q, k, v, out, dout;
  HeadMatrix<X> dq, dk, dv;
  const C* logsumexp;
  C* delta;  // [tokens, n_head]
  C scale, beta_q, beta_k, beta_v;
  C inner, outer;  // scores are outer tanh(inner s) with a cap, outer s without
};

constexpr int delta_threads = 256, delta_lanes = 8;  // lanes for each token and head

/// delta = rowsum(dout ∘ out), one number for each token and head.
template <class X>
__global__ void __launch_bounds__(delta_threads) delta_kernel(Backward<X> args, std::int64_t rows) {
  using C = SumOf<X>;
  constexpr int pack = Pack<X>::size;
  int dim = args.shape.head_dim, lane = static_cast<int>(threadIdx.x) % delta_lanes;
  std::int64_t row = (std::int64_t{blockIdx.x} * delta_threads + threadIdx.x) / delta_lanes;
  C sum = 0;
  if (row < rows) {
    int heads = args.shape.heads();
    int token = static_cast<int>(row / heads), head = static_cast<int>(row % heads);
    const X *out = args.out.at(token, head, dim), *dout = args.dout.at(token, head, dim);
    if (args.out.packs && args.dout.packs) {
      for (int c = lane * pack; c < dim; c += delta_lanes * pack) {
        auto a = *reinterpret_cast<const Unit<X, pack>*>(out + c),
             b = *reinterpret_cast<const Unit<X, pack>*>(dout + c);
#pragma unroll
        for (int i = 0; i < pack; ++i) sum += a.template get<C>(i) * b.template get<C>(i);
      }
    } else {
      for (int c = lane; c < dim; c += delta_lanes) sum += as<C>(out[c]) * as<C>(dout[c]);
    }
  }
#pragma unroll
  for (int step = delta_lanes / 2; step > 0; step /= 2) sum += __shfl_xor_sync(all_lanes, sum, step);
  if (row < rows && lane == 0) args.delta[row] = sum;
}

/// p = e^(score - logsumexp) of s = a bᵀ, of owned rows and a passing tile, in s's place; with a cap, `squashed` becomes
/// tanh(inner s). logsumexp(i, j) comes times log2(e).
template <bool capped, class E, class L>
__device__ void probabilities(typename E::Scores& s, typename E::Scores& squashed, const OwnRows<E>& own, int tile,
                              const Backward<typename E::X>& args, const L& logsumexp) {
  using C = typename E::C;
  if constexpr (capped) squash(s, args.inner), squashed = s;
  C scale = args.outer * static_cast<C>(log2_of_e);
#pragma unroll
  for (int i = 0; i < E::Scores::rows; ++i)
#pragma unroll
    for (int j = 0; j < E::Scores::cols; ++j) s(i, j) = power_of_two(s(i, j) * scale - logsumexp(i, j));
  own.mask(s, tile, 0);
}
/// ds = p ∘ (dp - delta) ∘ the slope of the cap, in dp's place.
template <bool capped, class E, class D>
__device__ void score_gradients(typename E::Scores& dp, typename E::Scores& p, typename E::Scores& squashed,
                                const D& delta) {
#pragma unroll
  for (int i = 0; i < E::Scores::rows; ++i)
#pragma unroll
    for (int j = 0; j < E::Scores::cols; ++j) {
      dp(i, j) = p(i, j) * (dp(i, j) - delta(i, j));
      if constexpr (capped) dp(i, j) *= 1 - squashed(i, j) * squashed(i, j);
    }
}

/// dq of a tile of query rows: keys and values pass by.
template <class E, bool capped>
__global__ void __launch_bounds__(E::threads, 1) queries_kernel(Backward<typename E::X> args) {
  using X = typename E::X;
  using C = typename E::C;
  using Memory = AttentionMemory<E, 2>;
  const AttentionShape& shape = args.shape;
  auto block = static_cast<std::int64_t>(gridDim.x - 1 - blockIdx.x);  // late tiles see the most keys
  Place place = find_query_rows<E::rows>(shape, block / shape.kv_heads);
  RowSpan row = shape.row(place.row);
  int kv_head = static_cast<int>(block % shape.kv_heads), dim = shape.head_dim;
  int first = place.tile * E::rows, count = min(E::rows, row.queries * shape.group - first);
  if (count <= 0) return;

  OwnRows<E> own(Memory::rows(), count, [&](int r) {
    int token = (first + r) / shape.group, head = kv_head * shape.group + (first + r) % shape.group;
    return OwnRow{row.query + token, head, shape.keys_seen(row, token)};
  });
  load_rows<E::rows, E::threads>(Memory::own(0), count, dim, args.q.packs, own.in(args.q, dim));
  load_rows<E::rows, E::threads>(Memory::own(1), count, dim, args.dout.packs, own.in(args.dout, dim));
  C *logsumexp = Memory::own_numbers(0), *delta = Memory::own_numbers(1);
  for (int r = static_cast<int>(threadIdx.x); r < E::rows; r += E::threads) {
    std::int64_t at = std::int64_t{own[r].token} * shape.heads() + own[r].head;
    logsumexp[r] = r < count ? args.logsumexp[at] * static_cast<C>(log2_of_e) : C(0);
    delta[r] = r < count ? args.delta[at] : C(0);
  }
  Range keys = own.seen(count);
  auto load = [&](int i, int buffer) {
    int tile = keys.begin + i * E::columns, there = min(E::columns, keys.end - tile);
    load_passing<E, 2>(buffer, args.k, args.v, row.key + tile, kv_head, there, dim);
  };

  E products(Memory::exchange());
  typename E::Sums dq;
  auto work = [&](int i, int buffer) {
    int tile = keys.begin + i * E::columns;
    if (!own.see(tile)) return;
    typename E::Scores p = products.product(Memory::own(0), Memory::pass(buffer, 0));
    typename E::Scores squashed;
    probabilities<capped, E>(p, squashed, own, tile, args, [&](int i, int) { return logsumexp[E::row(i)]; });
    typename E::Scores ds = products.product(Memory::own(1), Memory::pass(buffer, 1));
    score_gradients<capped, E>(ds, p, squashed, [&](int i, int) { return delta[E::row(i)]; });
    products.add_product(dq, ds, Memory::pass(buffer, 0));
  };
  stream_tiles((keys.size() + E::columns - 1) / E::columns, load, [](int) {}, work);
  multiply(dq, args.scale);
  store_rows<E, X>(dq, count, dim, args.beta_q, own.in(args.dq, dim));
}

/// dk, dv or both of a tile of keys: for each head of the group, queries and dout pass by.
template <class E, bool with_dk, bool with_dv, bool capped>
__global__ void __launch_bounds__(E::threads, 1) keys_kernel(Backward<typename E::X> args) {
  using X = typename E::X;
  using C = typename E::C;
  using Memory = AttentionMemory<E, 2>;
  const AttentionShape& shape = args.shape;
  auto block = static_cast<std::int64_t>(blockIdx.x);  // early tiles are seen by the most queries
  Place place = find_keys<E::rows>(shape, block / shape.kv_heads);
  RowSpan row = shape.row(place.row);
  int kv_head = static_cast<int>(block % shape.kv_heads), dim = shape.head_dim;
  int first = place.tile * E::rows, count = min(E::rows, row.keys - first);
  if (count <= 0) return;

  OwnRows<E> own(Memory::rows(), count, [&](int r) {
    return OwnRow{row.key + first + r, kv_head, shape.tokens_seeing(row, first + r)};
  });
  load_rows<E::rows, E::threads>(Memory::own(0), count, dim, args.k.packs, own.in(args.k, dim));
  if (with_dk) load_rows<E::rows, E::threads>(Memory::own(1), count, dim, args.v.packs, own.in(args.v, dim));
  Range tokens = own.seen(count);
  int tiles = (tokens.size() + E::columns - 1) / E::columns;
  C logsumexp = 0, delta = 0;  // of one passing query, on its way
  auto load = [&](int i, int buffer) {
    int head = kv_head * shape.group + i / tiles, tile = tokens.begin + i % tiles * E::columns;
    int there = min(E::columns, tokens.end - tile);
    load_passing<E, 2>(buffer, args.q, args.dout, row.query + tile, head, there, dim);
    int r = static_cast<int>(threadIdx.x);
    std::int64_t at = std::int64_t{row.query + tile + r} * shape.heads() + head;
    logsumexp = r < there ? args.logsumexp[at] * static_cast<C>(log2_of_e) : C(0);
    if (with_dk) delta = r < there ? args.delta[at] : C(0);
  };
  auto land = [&](int buffer) {
    int r = static_cast<int>(threadIdx.x);
    if (r >= E::columns) return;
    Memory::passing_numbers(buffer, 0)[r] = logsumexp;
    if (with_dk) Memory::passing_numbers(buffer, 1)[r] = delta;
  };
  static_assert(E::columns <= E::threads);

  E products(Memory::exchange());
  typename E::Sums dk, dv;
  auto work = [&](int i, int buffer) {
    int tile = tokens.begin + i % tiles * E::columns;
    if (!own.see(tile)) return;
    const C *sums = Memory::passing_numbers(buffer, 0), *means = Memory::passing_numbers(buffer, 1);
    typename E::Scores p = products.product(Memory::own(0), Memory::pass(buffer, 0));
    typename E::Scores squashed;
    probabilities<capped, E>(p, squashed, own, tile, args, [&](int, int j) { return sums[E::column(j)]; });
    if (with_dv) products.add_product(dv, p, Memory::pass(buffer, 1));
    if (!with_dk) return;
    typename E::Scores ds = products.product(Memory::own(1), Memory::pass(buffer, 1));
    score_gradients<capped, E>(ds, p, squashed, [&](int, int j) { return means[E::column(j)]; });
    products.add_product(dk, ds, Memory::pass(buffer, 0));
  };
  stream_tiles(tiles * shape.group, load, land, work);
  if (with_dk) {
    multiply(dk, args.scale);
    store_rows<E, X>(dk, count, dim, args.beta_k, own.in(args.dk, dim));
  }
  if (with_dv) store_rows<E, X>(dv, count, dim, args.beta_v, own.in(args.dv, dim));
}

/// Products for tiles of query rows and of keys; wide heads have their dk and dv made one after the other.
template <class X, int dim>
struct Products {
  static constexpr bool wide = dim > 128;
  static constexpr int warps = wide ? 1 : 128 / std::max(32, dim / 2);
  using Queries = FmaTiles<X, dim, warps, 8, (dim <= 64 ? 32 : 16)>;
  using Keys = Queries;
};
template <int dim>
struct Products<double, dim> {
  static constexpr bool wide = dim > 128;
  using Queries = FmaTiles<double, dim, 2, 4, 16>;
  using Keys = Queries;
};
template <int dim>
struct Products<bf16, dim> {
  static constexpr bool wide = dim > 128;
  using Queries = MmaTiles<dim, 4, wide ? 1 : 2, wide ? 16 : 32>;
  using Keys = MmaTiles<dim, 4, dim <= 64 ? 2 : 1, wide ? 16 : 32, dim == 64 ? 2 : 4>;
};

template <class E, bool with_dk, bool with_dv, bool capped, class X>
void run_keys(Device& device, const Backward<X>& backward, std::int64_t keys) {
  std::int64_t places = first_place<E::rows>(keys, backward.shape.rows);
  launch(device, keys_kernel<E, with_dk, with_dv, capped>,
         dim3(static_cast<unsigned>(places * backward.shape.kv_heads)), dim3(E::threads), AttentionMemory<E, 2>::bytes,
         backward);
}

template <class X, int dim, bool capped>
void run(Device& device, const AttentionBackwardArgs& args, void* scratch) {
  using P = Products<X, dim>;
  using C = SumOf<X>;
  const AttentionArgs& f = args.forward;
  auto [tokens, keys] = AttentionTotals(f);
  auto heads = [&](const ConstMatrix& m) { return HeadMatrix<const X>(m, f); };
  auto target = [&](const Matrix& m) { return HeadMatrix<X>(m, f); };
  Backward<X> backward{AttentionShape(f),
                       heads(f.q),
                       heads(f.k),
                       heads(f.v),
                       heads(f.out),
                       heads(args.dout),
                       target(args.dq),
                       target(args.dk),
                       target(args.dv),
                       static_cast<const C*>(f.logsumexp),
                       Scratch(scratch).take<C>(tokens * f.n_head),
                       static_cast<C>(f.scale),
                       static_cast<C>(args.beta_q),
                       static_cast<C>(args.beta_k),
                       static_cast<C>(args.beta_v),
                       static_cast<C>(capped ? f.scale / f.soft_cap : 0),
                       static_cast<C>(capped ? f.soft_cap : f.scale)};
  bool dq = args.dq.data && tokens > 0, dk = args.dk.data && keys > 0, dv = args.dv.data && keys > 0;
  if ((dq || dk) && tokens > 0) {
    auto blocks = ceil_div(tokens * f.n_head * delta_lanes, delta_threads);
    launch(device, delta_kernel<X>, dim3(static_cast<unsigned>(blocks)), dim3(delta_threads), 0, backward,
           tokens * f.n_head);
  }
  if (dq) {
    using E = typename P::Queries;
    std::int64_t places = first_place<E::rows>(tokens * backward.shape.group, backward.shape.rows);
    launch(device, queries_kernel<E, capped>, dim3(static_cast<unsigned>(places * f.n_kv_head)), dim3(E::threads),
           AttentionMemory<E, 2>::bytes, backward);
  }
  using E = typename P::Keys;
  if constexpr (!P::wide) {
    if (dk && dv) return run_keys<E, true, true, capped>(device, backward, keys);
  }
  if (dk) run_keys<E, true, false, capped>(device, backward, keys);
  if (dv) run_keys<E, false, true, capped>(device, backward, keys);
}

}  // namespace

std::size_t scratch_bytes(Device&, const AttentionBackwardArgs& args) {
  Scratch count(nullptr);
  count.take(accumulation_type(args.forward.q.dtype), AttentionTotals(args.forward).tokens,
             args.dq.rows > 0 || args.dk.rows > 0 ? args.forward.n_head : 0);
  return count.used();
}

void attention_backward(Device& device, const AttentionBackwardArgs& args, void* scratch) {
  with_head_tile(args.forward, [&](auto tile, auto capped) {
    run<typename decltype(tile)::X, tile.dim, capped.value>(device, args, scratch);
  });
}

}  // namespace loragrad::cuda
