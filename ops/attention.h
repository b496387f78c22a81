#pragma once
// Threads: one at a time for each device (engine/device.h).
#include <cstdint>
#include <memory>
#include <vector>

#include "engine/tensor.h"

namespace loragrad {

/// Where each row of a batch has its queries and its keys. They differ only when decoding with a cache, where a row has
/// more keys than queries, its last query stands at its last key, and other rows' keys may lie anywhere.
struct RowSpans {
  std::vector<RowSpan> spans;
  Tensor on_device;  ///< [rows, 5] i32: the same, for kernels
  std::int64_t rows() const { return static_cast<std::int64_t>(spans.size()); }
  /// Where row `row` begins among the tokens; of row rows(): how many tokens there are.
  std::int64_t first_token(std::int64_t row) const;
  /// Keys of all rows together, and the end of the last one's among those that there are.
  std::int64_t keys() const;
  std::int64_t key_end() const;
};
using RowSpansPtr = std::shared_ptr<const RowSpans>;
/// With their copy on `device`; keys_before is filled in. ShapeError, naming the row, unless each row's queries begin
/// where those of the row before it end (the first's at 0), no row has more queries than keys, and no two rows have a
/// key in common.
RowSpansPtr make_row_spans(const DevicePtr& device, std::vector<RowSpan> spans);

struct AttentionConfig {
  std::int64_t n_head = 0, n_kv_head = 0, head_dim = 0;
  std::int64_t window = 0;  ///< query sees the last `window` keys, itself included; 0: all before it
  double scale = 0;         ///< of the scores, usually head_dim^-0.5
  double soft_cap = 0;      ///< scores s become cap tanh(s / cap) before the mask; 0: as they are
};

/// o = softmax(cap(scale q kᵀ) + causal mask) v, cap(s) = soft_cap tanh(s / soft_cap) or s (Gemma 2 report, 2024), per head and row; head h reads key/value head h n_kv_head / n_head.
/// q [tokens, n_head D], k and v [keys, n_kv_head D] -> [tokens, n_head D]. Keys that no row has have no gradient.
///                                                   Vaswani et al. 2017, section 3.2; grouped: Ainslie et al. 2023
/// Keeps q, k, v, o and one logsumexp per token and head; probabilities are computed again in backward, a head at a
/// time in tiles (Dao et al. 2022, algorithm 4):
///   dv = pᵀ do,  ds = p ∘ (do vᵀ - rowsum(do ∘ o)) ∘ cap'(s),  dq = scale ds k,  dk = scale dsᵀ q
Tensor attention(const Tensor& q, const Tensor& k, const Tensor& v, const RowSpansPtr& rows,
                 const AttentionConfig& config);

}  // namespace loragrad
