#pragma once
#include "ops/cuda/attention_softmax.h"
#include "ops/cuda/launch.h"

/// Rows of few queries are cut by keys. Each chunk leaves, for every query row, an attention of its own: `out` and
/// `logsumexp` over its keys. With L = ln Σ e^L_c they make the row's:  out = Σ e^(L_c - L) out_c.
namespace loragrad::cuda {

/// Scratch space, for every place of a chunk (find_place), key/value head and query row.
template <class C>
struct Chunks {
  int kv_heads, rows;  // `rows`: the most query rows of a row of few queries
  C *out, *logsumexp;  // [parts, head_dim], [parts]
  constexpr int tiles(int size) const { return (rows + size - 1) / size; }
  __device__ std::int64_t row(std::int64_t place, int head, int r) const {
    return (place * kv_heads + head) * rows + r;
  }
};

constexpr int merge_threads = 256, merge_columns = 8;  // columns of a lane: head_dim is 256 at most

/// A block for each row of the batch, key/value head and query row. Warps share out the chunks.
template <class X, class C>
__global__ void __launch_bounds__(merge_threads)
    merge_kernel(AttentionShape shape, Chunks<C> chunks, HeadMatrix<X> out, C* logsumexp) {
  constexpr int warps = merge_threads / warp_size;
  int r = static_cast<int>(blockIdx.x) % chunks.rows,
      head = static_cast<int>(blockIdx.x) / chunks.rows % shape.kv_heads;
  int index = static_cast<int>(blockIdx.x) / chunks.rows / shape.kv_heads;
  RowSpan row = shape.row(index);
  if (!is_few(row) || r >= row.queries * shape.group) return;
  Range seen = shape.chunks_seen(row);
  if (seen.size() < 2) return;
  std::int64_t place = first_place<chunk_keys>(row.keys_before, index);
  auto part = [&](int chunk) { return chunks.row(place + chunk, head, r); };

  int lane = static_cast<int>(threadIdx.x) % warp_size, warp = static_cast<int>(threadIdx.x) / warp_size;
  C high = -std::numeric_limits<C>::infinity(), sum = 0;
  for (int i = seen.begin + lane; i < seen.end; i += warp_size) high = max(high, chunks.logsumexp[part(i)]);
  high = warp_reduce(high, Larger());
  for (int i = seen.begin + lane; i < seen.end; i += warp_size)
    sum += power_of_two((chunks.logsumexp[part(i)] - high) * static_cast<C>(log2_of_e));
  C whole = high + binary_logarithm(warp_reduce(sum)) * static_cast<C>(ln_of_2);

  C sums[merge_columns] = {};
  for (int i = seen.begin + warp; i < seen.end; i += warps) {
    C weight = power_of_two((chunks.logsumexp[part(i)] - whole) * static_cast<C>(log2_of_e));
    const C* from = chunks.out + part(i) * shape.head_dim;
#pragma unroll
    for (int j = 0; j < merge_columns; ++j)
      if (int c = lane + j * warp_size; c < shape.head_dim) sums[j] += weight * from[c];
  }
  C* shared = shared_memory<C>();  // [warps, head_dim]
#pragma unroll
  for (int j = 0; j < merge_columns; ++j)
    if (int c = lane + j * warp_size; c < shape.head_dim) shared[warp * shape.head_dim + c] = sums[j];
  __syncthreads();
  int token = row.query + r / shape.group, q_head = head * shape.group + r % shape.group;
  for (int c = static_cast<int>(threadIdx.x); c < shape.head_dim; c += merge_threads) {
    C value = 0;
    for (int w = 0; w < warps; ++w) value += shared[w * shape.head_dim + c];
    out.at(token, q_head, shape.head_dim)[c] = rounded<X>(value);
  }
  if (logsumexp && threadIdx.x == 0) logsumexp[std::int64_t{token} * shape.heads() + q_head] = whole;
}

template <class X, class C>
void merge_chunks(Device& device, const AttentionShape& shape, const Chunks<C>& chunks, const HeadMatrix<X>& out,
                  C* logsumexp) {
  auto blocks = std::int64_t{shape.rows} * shape.kv_heads * chunks.rows;
  launch(device, merge_kernel<X, C>, dim3(static_cast<unsigned>(blocks)), dim3(merge_threads),
         static_cast<std::size_t>(merge_threads / warp_size * shape.head_dim) * sizeof(C), shape, chunks, out,
         logsumexp);
}

}  // namespace loragrad::cuda
