#pragma once
#include <cstddef>
#include <cstdint>

#include "engine/matrix.h"

namespace loragrad {

class Device;

/// c = alpha op(a) op(b) + bias + beta c.  op transposes where asked; beta is 0 or 1; bias is one row of c's columns or
/// empty (f32, or f64 when c is f64). Operands may differ in dtype: b (a weight) is converted tile by tile to a's
/// dtype. With beta = 0, c is not read. One of a and c, not both, may lie in panels; then its stride means nothing, and
/// there is no bias where a does as it lies.
struct GemmArgs {
  Matrix c;
  ConstMatrix a;
  WeightView b;
  bool transpose_a = false, transpose_b = false;
  double alpha = 1, beta = 0;
  const void* bias = nullptr;
  Panels panels_a = {}, panels_c = {};
};
/// The dimension that is summed over.
inline std::int64_t inner(const GemmArgs& g) { return g.transpose_a ? g.a.rows : g.a.cols; }

/// Elements that are kept (scaled by 1/(1-p)) or zeroed. An element's fate is a pure function of (key, row in the step,
/// position in the row, column): never of where micro-batches were cut. A draw has 16 bits, p is rounded to 1/65536.
struct DropoutMask {
  double p = 0;
  std::uint64_t key = 0;
  const std::int32_t* tokens = nullptr;  // [tokens, 2]: row in the step, position in the row
};
/// y = mask(x) + beta y;  y may be x.
struct DropoutArgs {
  ConstMatrix x;
  Matrix y;
  DropoutMask mask;
  double beta = 0;
};

enum class Activation { relu, gelu_erf, gelu_tanh, silu };

/// y = f(x); for relu, `mask` (one bit an element, each row starting at a byte) may be null.
struct ActivationArgs {
  Activation kind;
  ConstMatrix x;
  Matrix y;
  std::uint8_t* mask = nullptr;
};
/// dx = f'(x) dy + beta dx; for relu x is unused and mask is read. dx may be dy.
struct ActivationBackwardArgs {
  Activation kind;
  ConstMatrix x, dy;
  Matrix dx;
  const std::uint8_t* mask = nullptr;
  double beta = 0;
};
/// y = f(gate) * up
struct GatedArgs {
  Activation kind;
  ConstMatrix gate, up;
  Matrix y;
};
/// dgate = f'(gate) up dy + beta_gate dgate, dup = f(gate) dy + beta_up dup; either may be empty (data null),
/// and dgate may be gate, dup up.
struct GatedBackwardArgs {
  Activation kind;
  ConstMatrix gate, up, dy;
  Matrix dgate, dup;
  double beta_gate = 0, beta_up = 0;
};

/// LayerNorm y = (x - mean) rstd w + b, or RMSNorm y = x rstd w (mean and bias null). Statistics are f32, f64 for f64
/// x. With `reuse_statistics` mean and rstd are read instead of written (a recipe computes y again).
struct NormArgs {
  ConstMatrix x;
  const void *weight = nullptr, *bias = nullptr;  // f32, or f64 when x is f64
  double eps = 1e-5;
  bool center = true;  // LayerNorm; false: RMSNorm
  Matrix y;
  void *mean = nullptr, *rstd = nullptr;  // [tokens]
  bool reuse_statistics = false;
};
/// dx = ... + beta dx; dweight and dbias are sums over tokens in a fixed order, added to what is there. Each of the
/// three may be empty (rows 0), and dx may be dy.
struct NormBackwardArgs {
  ConstMatrix x, dy;
  const void *weight = nullptr, *mean = nullptr, *rstd = nullptr;
  bool center = true;
  Matrix dx;
  double beta = 0;
  Matrix dweight, dbias;  // one row, f32, or f64 when x is f64
};

/// Rotary positions in halves: for head dimension D and i < D/2, (y_i, y_{i+D/2}) is (x_i, x_{i+D/2}) rotated by
/// position * frequency_i; `inverse` rotates back (the backward).  y = rotation + beta y; y may be x itself.
struct RopeArgs {
  ConstMatrix x;
  Matrix y;
  const std::int32_t* positions = nullptr;  // [tokens]
  const double* frequencies = nullptr;      // [head_dim / 2]
  std::int64_t head_dim = 0;
  bool inverse = false;
  double beta = 0;
};

/// Causal attention over ragged rows, grouped-query. Row i has queries query_offsets[i] .. query_offsets[i+1] and keys
/// key_offsets[i] .. key_offsets[i+1]; its last query stands at its last key, so query j of n among m keys sees keys
/// 0 .. m - n + j, and with window > 0 only the last `window` of them. Offsets, rows + 1 of each, are there twice: in
/// host memory, for cutting work and scratch space, and for kernels in the device's.
struct AttentionArgs {
  ConstMatrix q, k, v;        // q [tokens, n_head * head_dim]; k, v [keys, n_kv_head * head_dim]
  Matrix out;                 // like q
  void* logsumexp = nullptr;  // [tokens, n_head] f32 (f64 for f64), may be null when no backward follows
  std::int64_t rows = 0;
  const std::int64_t *query_offsets = nullptr, *key_offsets = nullptr;  // in host memory
  const std::int32_t* device_offsets = nullptr;                         // [2, rows + 1]: queries', keys'
  std::int64_t n_head = 0, n_kv_head = 0, head_dim = 0, window = 0;
  double scale = 1;
};
struct AttentionBackwardArgs {
  AttentionArgs forward;  // out and logsumexp as the forward left them
  ConstMatrix dout;
  Matrix dq, dk, dv;  // each may be empty (data null and rows 0)
  double beta_q = 0, beta_k = 0, beta_v = 0;
};

/// out[t] = scale * table[ids[t]] (+ beta out)
struct EmbeddingArgs {
  WeightView table;
  const std::int32_t* ids = nullptr;
  Matrix out;
  double scale = 1, beta = 0;
};
/// dtable[ids[t]] += scale * dout[t], in the order of t
struct EmbeddingBackwardArgs {
  ConstMatrix dout;
  const std::int32_t* ids = nullptr;
  Matrix dtable;
  double scale = 1;
};

/// For each row t with targets[t] >= 0: losses[t] = logsumexp(logits[t]) - logits[t][target], and
/// dlogits[t] = scale (softmax(logits[t]) - onehot(target)); rows with target < 0 get 0 and zeros.
/// Logits may lie in panels, and dlogits lies as they do, its panels `apart_dlogits` elements behind each other. It may
/// be empty (data null); in panels it may lie on the logits, each panel from where the logits' begins, in a type no
/// wider.
struct CrossEntropyArgs {
  ConstMatrix logits;
  const std::int32_t* targets = nullptr;
  double* losses = nullptr;  // [rows], in host memory
  Matrix dlogits;
  double scale = 1;
  Panels panels = {};  // of a width in multiples of 256
  std::int64_t apart_dlogits = 0;
};

/// Decoupled weight decay; Loshchilov & Hutter 2019, algorithm 2, with torch's epsilon placement:
/// p -= lr wd p;  m, v updated with g * grad_scale;  p -= lr / (1-b1^t) m / (sqrt(v / (1-b2^t)) + eps).
struct AdamWArgs {
  Matrix parameter, m, v;
  ConstMatrix gradient;
  double lr, beta1, beta2, eps, weight_decay, grad_scale;
  std::int64_t step;  // from 1
};

/// What a device must be able to do. Every entry takes the device it runs on; none sees another device's pointers, but
/// for the arrays said to be in host memory. `*_workspace` say the bytes of scratch space the entry needs; the caller
/// passes it.
struct Kernels {
  std::size_t (*gemm_workspace)(Device&, const GemmArgs&);
  void (*gemm)(Device&, const GemmArgs&, void* workspace);

  /// y = alpha x + beta y, converting between dtypes (f32, f64, bf16, f16 -> f32, f64, bf16). With alpha = 0 x is not
  /// read, with beta = 0 y is not read (either may hold NaN).
  void (*accumulate)(Device&, ConstMatrix x, double alpha, Matrix y, double beta);
  /// y = alpha a + beta b
  void (*add)(Device&, ConstMatrix a, double alpha, ConstMatrix b, double beta, Matrix y);
  /// out += the sum of x's rows, in a fixed order (out: one row, f32 or f64).
  void (*column_sum)(Device&, ConstMatrix x, Matrix out);
  /// Sum of squares, in f64, in a fixed order; NaN and Inf stay visible.
  double (*squared_norm)(Device&, ConstMatrix x);

  void (*dropout)(Device&, const DropoutArgs&);
  void (*activation)(Device&, const ActivationArgs&);
  void (*activation_backward)(Device&, const ActivationBackwardArgs&);
  void (*gated)(Device&, const GatedArgs&);
  void (*gated_backward)(Device&, const GatedBackwardArgs&);
  void (*norm)(Device&, const NormArgs&);
  std::size_t (*norm_backward_workspace)(Device&, const NormBackwardArgs&);
  void (*norm_backward)(Device&, const NormBackwardArgs&, void* workspace);
  void (*rope)(Device&, const RopeArgs&);
  std::size_t (*attention_workspace)(Device&, const AttentionArgs&);
  void (*attention)(Device&, const AttentionArgs&, void* workspace);
  std::size_t (*attention_backward_workspace)(Device&, const AttentionBackwardArgs&);
  void (*attention_backward)(Device&, const AttentionBackwardArgs&, void* workspace);
  void (*embedding)(Device&, const EmbeddingArgs&);
  void (*embedding_backward)(Device&, const EmbeddingBackwardArgs&);
  void (*cross_entropy)(Device&, const CrossEntropyArgs&);
  void (*adamw)(Device&, const AdamWArgs&);
};

}  // namespace loragrad
