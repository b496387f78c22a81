#pragma once
// Threads: one at a time for each device (engine/device.h).
#include <cstddef>
#include <cstdint>
#include <span>

#include "engine/matrix.h"

namespace loragrad {

class Device;

/// Elements that are kept (scaled by 1/(1-p)) or zeroed. An element's fate is a pure function of (key, row in the step,
/// position in the row, column): never of where micro-batches were cut. A draw has 16 bits, p is rounded to 1/65536.
struct DropoutMask {
  double p = 0;
  std::uint64_t key = 0;
  const std::int32_t* tokens = nullptr;  // [tokens, 2]: row in the step, position in the row
  bool on() const { return p > 0; }
};
/// y = mask(x) + beta y;  y may be x.
struct DropoutArgs {
  ConstMatrix x;
  Matrix y;
  DropoutMask mask;
  double beta = 0;
};

/// What a product's dropout is applied to: one of its operands as it lies, or the product before it is added to c.
enum class Dropped { a, b, product };

/// c = alpha op(a) op(b) + bias + beta c.  op transposes where asked; beta is 0 or 1; bias is one row of c's columns or
/// empty (f32, or f64 when c is f64). Operands may differ in dtype: b (a weight) is converted tile by tile to a's
/// dtype. With beta = 0, c is not read. Dropout's tokens are the rows of what it is applied to.
struct GemmArgs {
  Matrix c;
  ConstMatrix a;
  WeightView b;
  bool transpose_a = false, transpose_b = false;
  double alpha = 1, beta = 0;
  const void* bias = nullptr;
  DropoutMask dropout = {};
  Dropped dropped = Dropped::a;
  /// Each row of c comes out the same, bit for bit, however many rows are multiplied with it. On a GPU, to rounding.
  /// UsageError beside transpose_a.
  bool rows_alone = false;
};
/// The dimension that is summed over.
inline std::int64_t inner(const GemmArgs& g) { return g.transpose_a ? g.a.rows : g.a.cols; }

/// Products in their order. Several that share what they read, or add to one c, may be made in one pass over it; none
/// reads a c of the list.
struct GemmListArgs {
  std::span<const GemmArgs> products;  // on the host
};

/// y = alpha x + beta y, converting between dtypes (f32, f64, bf16, f16 -> f32, f64, bf16). With alpha = 0 x is not
/// read, with beta = 0 y is not read (either may hold NaN). x's stride may be 0: one row for all of y's.
struct AccumulateArgs {
  ConstMatrix x;
  double alpha = 1;
  Matrix y;
  double beta = 0;
};
/// y = alpha a + beta b
struct AddArgs {
  ConstMatrix a;
  double alpha = 1;
  ConstMatrix b;
  double beta = 1;
  Matrix y;
};
/// y = factor y, factor [1, 1] f32 or f64. Where it is 1, y is not touched.
struct ScaleArgs {
  Matrix y;
  ConstMatrix factor;
};
/// y = (offset + alpha f) x + beta y, one factor f for each column of x, or with `by_row` for each row (f: one row).
struct ScaleEachArgs {
  ConstMatrix x, factors;
  bool by_row = false;
  double alpha = 1, offset = 0;
  Matrix y;
  double beta = 0;
};
/// out += the sum of x's rows, in a fixed order (out: one row, f32 or f64).
struct ColumnSumArgs {
  ConstMatrix x;
  Matrix out;
};
/// out += the sum of the rows of a ∘ b, in a fixed order (a and b of one type; out as above).
struct ColumnDotArgs {
  ConstMatrix a, b;
  Matrix out;
};

/// For each output j of a linear map of weight W + D, norm_j = its length |W + D|_j. W is stored [out, in], or with
/// `in_out` [in, out]; D's part of the square is Σ_k product_kj b_jk (product [r, out], b [out, r]; r = 0: D = 0). Where
/// w has no rows norm is read and not written. With a magnitude m: factor = m / norm and inverse = 1 / norm, of a length of
/// 0 they are 1 and 0. All but w are f32, or f64, vectors one row.
struct WeightNormsArgs {
  WeightView w = {};
  bool in_out = false;
  ConstMatrix product = {}, b = {};
  Matrix norm = {};
  ConstMatrix magnitude = {};
  Matrix factor = {}, inverse = {};
};
/// What a magnitude makes of a map's output. With v = u - bias (bias: one row, or empty), and f the factor of each
/// column: y += weight ((f - 1) v + f l), and where there is an e, e = v + l. u may be y, and e may be l.
struct RescaleArgs {
  ConstMatrix u, l, factors, bias = {};
  double weight = 1;
  Matrix y, e = {};
};
/// norm = sqrt of the sum of the squares of all elements, in f64, in a fixed order; NaN and Inf stay visible. With
/// `clip`, the factor that torch's clip_grad_norm_ multiplies by: min(1, max_norm / (norm + 1e-6)), 1 for max_norm 0.
struct L2NormArgs {
  std::span<const ConstMatrix> x;  // on the host
  double max_norm = 0;
  double *norm = nullptr, *clip = nullptr;
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

/// LayerNorm y = (x - mean) rstd w + b, or RMSNorm y = x rstd w (mean and bias null), w = weight + weight_offset. Statistics are f32, f64 for f64
/// x. With `reuse_statistics` mean and rstd are read instead of written (a recipe computes y again).
struct NormArgs {
  ConstMatrix x;
  const void *weight = nullptr, *bias = nullptr;  // f32, or f64 when x is f64
  double eps = 1e-5;
  bool center = true;  // LayerNorm; false: RMSNorm
  double weight_offset = 0;
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
  double weight_offset = 0;
  Matrix dx;
  double beta = 0;
  Matrix dweight, dbias;  // one row, f32, or f64 when x is f64
};

/// y = [cos θ_0, cos θ_1, ..., sin θ_0, sin θ_1, ...] of each token's angles θ_i = position * frequency_i. y is dense,
/// [tokens, 2 n] in f32 or f64; angles are formed in f64.
struct RotationsArgs {
  const std::int32_t* positions = nullptr;  // [tokens]
  const double* frequencies = nullptr;      // [n]
  Matrix y;
};
/// Rotary positions in halves, over the first R of each head's dimensions, R = rotations.cols <= head_dim: for i < R/2,
/// (y_i, y_{i+R/2}) is (x_i, x_{i+R/2}) rotated by θ_i; the others stay. `inverse` rotates back (the backward).
/// y = rotation + beta y; y may be x itself.
struct RopeArgs {
  ConstMatrix x;
  Matrix y;
  ConstMatrix rotations;  // [tokens, R] as RotationsArgs has it, f64 where x or y is
  std::int64_t head_dim = 0;
  bool inverse = false;
  double beta = 0;
};

/// A row of a batch in attention: its queries are the tokens [query, query + queries), its keys [key, key + keys).
struct RowSpan {
  std::int32_t query = 0, queries = 0, key = 0, keys = 0;
  std::int32_t keys_before = 0;  ///< of all rows before it: where its work begins when keys are shared out
};

/// Causal attention over ragged rows, grouped-query. A row's last query stands at its last key, so query j of n among m
/// keys sees keys 0 .. m - n + j, and with window > 0 only the last `window` of them. The rows' queries lie one behind
/// the other; no two rows have a key in common, and between their keys may be others, which nobody sees. The spans are
/// there twice: in host memory, for cutting work and scratch space, and for kernels in the device's. With soft_cap > 0 a
/// score s becomes soft_cap tanh(s / soft_cap) before the mask.
struct AttentionArgs {
  ConstMatrix q, k, v;        // q [tokens, n_head * head_dim]; k, v [keys, n_kv_head * head_dim]
  Matrix out;                 // like q
  void* logsumexp = nullptr;  // [tokens, n_head] f32 (f64 for f64), may be null when no backward follows
  std::span<const RowSpan> rows = {};
  const RowSpan* device_rows = nullptr;
  std::int64_t n_head = 0, n_kv_head = 0, head_dim = 0, window = 0;
  double scale = 1, soft_cap = 0;
};
/// Gradients of keys that no row has are left as they are.
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

/// y[rows[t]] = x[t], converting between dtypes; no row comes twice, others keep what they hold.
struct PutRowsArgs {
  ConstMatrix x;
  const std::int32_t* rows = nullptr;  // [x's rows]
  Matrix y;
};

/// ids[t] = the column of row t's largest value, the first of equal ones; -1 where the row holds a NaN. x is f32 or f64.
struct ArgmaxArgs {
  ConstMatrix x;
  std::int32_t* ids = nullptr;  // [x's rows]
};

/// y = soft_cap tanh(y / soft_cap), soft_cap > 0. y is f32 or f64.
struct SoftCapArgs {
  Matrix y;
  double soft_cap = 1;
};

/// What adapters add to the logits of a head: u[tokens[i]] bᵀ. du and db are as dx and dhead. All empty for none.
struct HeadTermArgs {
  ConstMatrix u, b;  // [all tokens, r] and [vocab, r], in x's type
  Matrix du, db;     // in x's type, and f32 or f64
};

/// A language model's head and its loss, over the tokens that have a target: with z_i = x[tokens[i]] headᵀ,
/// sum = Σ_i logsumexp(z_i) - z_i[ids[i]] in a fixed order, and with dz_i = (softmax(z_i) - onehot(ids[i])) /
/// denominator: dx[tokens[i]] = dz_i head, zero for other tokens;  dhead = dzᵀ x[tokens]. Either may be empty (data
/// null, rows 0). With soft_cap > 0, z_i is soft_cap tanh(./soft_cap) of that, and dz_i times 1 - (z_i/soft_cap)². Logits
/// never exist as a whole: beside the operands it takes at most 64 MiB on a processor (with dhead or db at least the
/// logits of 128 tokens), 256 MiB on a GPU.
struct HeadLossArgs {
  ConstMatrix x;                                         // [all tokens, d]
  WeightView head;                                       // [vocab, d]
  const std::int32_t *tokens = nullptr, *ids = nullptr;  // [count], tokens ascending
  std::int64_t count = 0;
  double denominator = 1, soft_cap = 0;
  double* sum = nullptr;
  Matrix loss;       // [1, 1], f32 or f64: sum / denominator
  Matrix dx, dhead;  // in x's type and in the head's
  HeadTermArgs term = {};
};

/// One tensor that AdamW updates, of its one gradient.
struct AdamWTensor {
  Matrix parameter, m, v;
  ConstMatrix gradient;
};
/// Decoupled weight decay; Loshchilov & Hutter 2019, algorithm 2, with torch's epsilon placement:
/// p -= lr wd p;  m, v updated with g * grad_scale;  p -= lr / (1-b1^t) m / (sqrt(v / (1-b2^t)) + eps).
struct AdamWArgs {
  std::span<const AdamWTensor> tensors;  // on the host
  double lr, beta1, beta2, eps, weight_decay;
  const double* grad_scale;  // null: 1
  std::int64_t step;         // from 1
};

/// One thing that a device can do: `run` with the bytes of scratch space that `scratch` says.
template <class Args>
struct Kernel {
  std::size_t (*scratch)(Device&, const Args&);
  void (*run)(Device&, const Args&, void* scratch);
  /// Runs it with scratch space of the device.
  void operator()(Device& device, const Args& args) const;
};

/// All of them, by name and arguments: the one list, from which devices that pass calls on are made.
#define LORAGRAD_KERNELS(KERNEL)                      \
  KERNEL(gemm, GemmArgs)                              \
  KERNEL(gemm_list, GemmListArgs)                     \
  KERNEL(accumulate, AccumulateArgs)                  \
  KERNEL(add, AddArgs)                                \
  KERNEL(scale, ScaleArgs)                            \
  KERNEL(column_sum, ColumnSumArgs)                   \
  KERNEL(l2_norm, L2NormArgs)                         \
  KERNEL(dropout, DropoutArgs)                        \
  KERNEL(activation, ActivationArgs)                  \
  KERNEL(activation_backward, ActivationBackwardArgs) \
  KERNEL(gated, GatedArgs)                            \
  KERNEL(gated_backward, GatedBackwardArgs)           \
  KERNEL(norm, NormArgs)                              \
  KERNEL(norm_backward, NormBackwardArgs)             \
  KERNEL(rotations, RotationsArgs)                    \
  KERNEL(rope, RopeArgs)                              \
  KERNEL(attention, AttentionArgs)                    \
  KERNEL(attention_backward, AttentionBackwardArgs)   \
  KERNEL(embedding, EmbeddingArgs)                    \
  KERNEL(embedding_backward, EmbeddingBackwardArgs)   \
  KERNEL(put_rows, PutRowsArgs)                       \
  KERNEL(argmax, ArgmaxArgs)                          \
  KERNEL(soft_cap, SoftCapArgs)                       \
  KERNEL(head_loss, HeadLossArgs)                     \
  KERNEL(adamw, AdamWArgs)                            \
  KERNEL(scale_each, ScaleEachArgs)                   \
  KERNEL(column_dot, ColumnDotArgs)                   \
  KERNEL(weight_norms, WeightNormsArgs)               \
  KERNEL(rescale, RescaleArgs)

/// What a device must be able to do. Every entry takes the device it runs on; arrays are in its memory, but for those
/// said to be on the host, which are read before the call returns.
struct Kernels {
#define KERNEL(name, Args) Kernel<Args> name;
  LORAGRAD_KERNELS(KERNEL)
#undef KERNEL
};

}  // namespace loragrad
