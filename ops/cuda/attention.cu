#include "ops/cuda/attention_block.h"
#include "ops/cuda/attention_fma.h"
#include "ops/cuda/attention_merge.h"
#include "ops/cuda/attention_mma.h"
#include "ops/cuda/attention_softmax.h"
#include "ops/cuda/kernels.h"
#include "ops/cuda/scratch.h"

namespace loragrad::cuda {
namespace {

template <class X>
struct Forward {
  using C = SumOf<X>;
  AttentionShape shape;
  HeadMatrix<const X> q, k, v;
  HeadMatrix<X> out;
  C* logsumexp;
  C scale;  // of exponents of two, without its sign; of a cap's tanh
  bool negative;
  C inner;  // with a cap: of scores in tanh
  Chunks<C> chunks;
};

/// A block's work: query rows from `first` on against keys.
struct Item {
  RowSpan row;
  int head, first;
  Range keys;
  std::int64_t chunk = -1;  // where the result goes, or to `out`
};

/// Tiles of query rows of the rows with many queries. Late tiles see the most keys: they come first.
template <class E, class X>
__device__ Item query_tile(const Forward<X>& args) {
  const AttentionShape& shape = args.shape;
  auto block = static_cast<std::int64_t>(gridDim.x - 1 - blockIdx.x);
  Place place = find_query_rows<E::rows>(shape, block / shape.kv_heads);
  RowSpan row = shape.row(place.row);
  int first = place.tile * E::rows, last = min(first + E::rows, row.queries * shape.group) - 1;
  Item item{row, static_cast<int>(block % shape.kv_heads), first, {0, 0}};
  if (is_few(row) || last < first) return item;
  item.keys = {shape.keys_seen(row, first / shape.group).begin, shape.keys_seen(row, last / shape.group).end};
  return item;
}

/// Chunks of keys of the rows with few queries, and all their query rows, `E::rows` at a time.
template <class E, class X>
__device__ Item key_chunk(const Forward<X>& args) {
  const AttentionShape& shape = args.shape;
  auto block = static_cast<std::int64_t>(blockIdx.x);
  int head = static_cast<int>(block % shape.kv_heads), tiles = args.chunks.tiles(E::rows);
  block /= shape.kv_heads;
  std::int64_t number = block / tiles;
  Place place = find_keys<chunk_keys>(shape, number);
  RowSpan row = shape.row(place.row);
  Item item{row, head, static_cast<int>(block % tiles) * E::rows, {0, 0}};
  Range seen = shape.chunks_seen(row);
  bool here = place.tile >= seen.begin && place.tile < seen.end;
  if (!is_few(row) || !here || item.first >= row.queries * shape.group) return item;
  // Whole tiles up to the chunk's end: what is behind it belongs to the next.
  static_assert(chunk_keys % E::columns == 0);
  int first_key = shape.keys_seen(row, 0).begin / E::columns * E::columns;
  item.keys = {max(place.tile * chunk_keys, first_key), min((place.tile + 1) * chunk_keys, row.keys)};
  if (seen.size() > 1) item.chunk = number;
  return item;
}

template <class E, bool few, bool capped>
__global__ void __launch_bounds__(E::threads, 1) attention_kernel(Forward<typename E::X> args) {
  using X = typename E::X;
  using C = typename E::C;
  using Memory = AttentionMemory<E, 1>;
  const AttentionShape& shape = args.shape;
  Item item = [&] {
    if constexpr (few)
      return key_chunk<E>(args);
    else
      return query_tile<E>(args);
  }();
  const RowSpan& row = item.row;
  if (item.keys.size() == 0) return;

  int count = min(E::rows, row.queries * shape.group - item.first), dim = shape.head_dim;
  OwnRows<E> own(Memory::rows(), count, [&](int r) {
    int token = (item.first + r) / shape.group, head = item.head * shape.group + (item.first + r) % shape.group;
    return OwnRow{row.query + token, head, shape.keys_seen(row, token)};
  });
  load_rows<E::rows, E::threads>(Memory::own(0), count, dim, args.q.packs, own.in(args.q, dim));
  auto load = [&](int i, int buffer) {
    int tile = item.keys.begin + i * E::columns, keys = min(E::columns, item.keys.end - tile);
    load_passing<E, 1>(buffer, args.k, args.v, row.key + tile, item.head, keys, dim);
  };

  E products(Memory::exchange());
  OnlineSoftmax<E> softmax(args.scale);
  typename E::Sums out;
  auto work = [&](int i, int buffer) {
    int tile = item.keys.begin + i * E::columns;
    if (!own.see(tile)) return;
    typename E::Scores s = products.product(Memory::own(0), Memory::pass(buffer, 0));
    if constexpr (capped)
      squash(s, args.inner);
    else if (args.negative)
      multiply(s, C(-1));
    own.mask(s, tile, -std::numeric_limits<C>::infinity());
    softmax.add(s, out);
    products.add_product(out, s, Memory::pass(buffer, 1));
  };
  stream_tiles((item.keys.size() + E::columns - 1) / E::columns, load, [](int) {}, work);

  softmax.finish(out);
  auto part = [&](int r) { return args.chunks.row(item.chunk, item.head, item.first + r); };
  if (item.chunk < 0)
    store_rows<E, X>(out, count, dim, C(0), own.in(args.out, dim));
  else
    store_rows<E, C>(out, count, dim, C(0), [&](int r) { return args.chunks.out + part(r) * dim; });
  if (!args.logsumexp && item.chunk < 0) return;
#pragma unroll
  for (int i = 0; i < E::Scores::rows; ++i) {
    int r = E::row(i);
    if (r >= count || E::column(0) != 0) continue;
    std::int64_t at = std::int64_t{own[r].token} * shape.heads() + own[r].head;
    C* to = item.chunk < 0 ? args.logsumexp + at : args.chunks.logsumexp + part(r);
    *to = softmax.logsumexp(i);
  }
}

/// Products for tiles of many query rows, and for 16 or so of few.
template <class X, int dim>
struct Products {
  static constexpr bool wide = dim > 128;
  using Many = FmaTiles<X, dim, wide ? 2 : 4, 8, dim <= 64 ? 32 : 16>;
  using Few = FmaTiles<X, dim, 1, 8, dim <= 64 ? 32 : 16>;
};
template <int dim>
struct Products<double, dim> {
  using Many = FmaTiles<double, dim, 2, 4, 16>;
  using Few = Many;
};
template <int dim>
struct Products<bf16, dim> {
  static constexpr bool wide = dim > 128;
  using Many = MmaTiles<dim, 4, wide ? 1 : 2, wide ? 32 : 64>;
  using Few = MmaTiles<dim, 1, 1, 32>;
};

/// How a call is cut: which kernels it takes, and the scratch space of what is cut by keys.
struct Plan {
  explicit Plan(const AttentionArgs& args) {
    for (const RowSpan& row : args.rows) {
      if (row.queries == 0) continue;
      if (!is_few(row)) {
        many = true;
        continue;
      }
      few_rows = std::max(few_rows, row.queries * static_cast<int>(args.n_head / args.n_kv_head));
      merged = merged || AttentionShape(args).chunks_seen(row).size() > 1;
    }
    if (merged) places = first_place<chunk_keys>(AttentionTotals(args).keys, static_cast<int>(args.rows.size()));
  }
  template <class C>
  Chunks<C> chunks(const AttentionArgs& args, Scratch& scratch) const {
    std::int64_t parts = places * args.n_kv_head * few_rows;
    Chunks<C> chunks;
    chunks.kv_heads = static_cast<int>(args.n_kv_head);
    chunks.rows = few_rows;
    chunks.out = scratch.take<C>(parts * args.head_dim);
    chunks.logsumexp = scratch.take<C>(parts);
    return chunks;
  }
  bool many = false, merged = false;  // rows of many queries; rows whose chunks are merged
  int few_rows = 0;                   // the most query rows of a row of few queries
  std::int64_t places = 0;            // of chunks to merge
};

template <class X, int dim, bool capped>
void run(Device& device, const AttentionArgs& args, void* scratch) {
  using Many = typename Products<X, dim>::Many;
  using Few = typename Products<X, dim>::Few;
  using C = SumOf<X>;
  Plan plan(args);
  Scratch memory(scratch);
  double outer = capped ? args.soft_cap : args.scale;
  Forward<X> forward{AttentionShape(args),
                     {args.q, args},
                     {args.k, args},
                     {args.v, args},
                     {args.out, args},
                     static_cast<C*>(args.logsumexp),
                     // No scale is a very small one: times minus infinity it is no NaN.
                     std::max(static_cast<C>(std::abs(outer) * log2_of_e), std::numeric_limits<C>::min()),
                     outer < 0,
                     static_cast<C>(capped ? args.scale / args.soft_cap : 0),
                     plan.chunks<C>(args, memory)};
  const AttentionShape& shape = forward.shape;
  AttentionTotals totals(args);
  auto grid = [&](std::int64_t places) { return dim3(static_cast<unsigned>(places * shape.kv_heads)); };
  if (plan.many)
    launch(device, attention_kernel<Many, false, capped>,
           grid(first_place<Many::rows>(totals.tokens * shape.group, shape.rows)), dim3(Many::threads),
           AttentionMemory<Many, 1>::bytes, forward);
  if (plan.few_rows > 0)
    launch(device, attention_kernel<Few, true, capped>,
           grid(first_place<chunk_keys>(totals.keys, shape.rows) * forward.chunks.tiles(Few::rows)), dim3(Few::threads),
           AttentionMemory<Few, 1>::bytes, forward);
  if (plan.merged) merge_chunks(device, shape, forward.chunks, forward.out, forward.logsumexp);
}

}  // namespace

std::size_t scratch_bytes(Device&, const AttentionArgs& args) {
  Scratch count(nullptr);
  Plan plan(args);
  if (args.q.dtype == DType::f64)
    plan.chunks<double>(args, count);
  else
    plan.chunks<float>(args, count);
  return count.used();
}

void attention(Device& device, const AttentionArgs& args, void* scratch) {
  with_head_tile(args, [&](auto tile, auto capped) {
    run<typename decltype(tile)::X, tile.dim, capped.value>(device, args, scratch);
  });
}

}  // namespace loragrad::cuda
