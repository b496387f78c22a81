#pragma once
// Threads: one at a time for each device (engine/device.h).
#include <cstdint>
#include <memory>
#include <vector>

#include "engine/tensor.h"

namespace loragrad {

/// Where each row of a batch begins and ends: row i is [offsets[i], offsets[i+1]). Queries and keys differ only when
/// decoding with a cache, where a row has more keys than queries and its last query stands at its last key.
struct RowOffsets {
  std::vector<std::int64_t> query, key;
  Tensor on_device;  ///< [2, rows + 1] i32: the same, for kernels
  std::int64_t rows() const { return static_cast<std::int64_t>(query.size()) - 1; }
};
using RowOffsetsPtr = std::shared_ptr<const RowOffsets>;
/// With their copy on `device`. As many for queries as for keys.
RowOffsetsPtr make_row_offsets(const DevicePtr& device, std::vector<std::int64_t> query, std::vector<std::int64_t> key);

struct AttentionConfig {
  std::int64_t n_head = 0, n_kv_head = 0, head_dim = 0;
  std::int64_t window = 0;  ///< query sees the last `window` keys, itself included; 0: all before it
  double scale = 0;         ///< of the scores, usually head_dim^-0.5
};

/// o = softmax(scale q kᵀ + causal mask) v, per head and row; head h reads key/value head h n_kv_head / n_head.
/// q [tokens, n_head D], k and v [keys, n_kv_head D] -> [tokens, n_head D].
///                                                   Vaswani et al. 2017, section 3.2; grouped: Ainslie et al. 2023
/// Keeps q, k, v, o and one logsumexp per token and head; probabilities are computed again in backward, a head at a
/// time in tiles (Dao et al. 2022, algorithm 4):
///   dv = pᵀ do,  ds = p ∘ (do vᵀ - rowsum(do ∘ o)),  dq = scale ds k,  dk = scale dsᵀ q
Tensor attention(const Tensor& q, const Tensor& k, const Tensor& v, const RowOffsetsPtr& offsets,
                 const AttentionConfig& config);

}  // namespace loragrad
