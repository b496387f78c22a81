#include <cmath>
#include <limits>

#include "ops/cuda/kernels.h"
#include "ops/cuda/launch.h"
#include "ops/cuda/reduce.h"
#include "ops/cuda/scratch.h"
#include "ops/cuda/units.h"

namespace loragrad::cuda {
namespace {

using Index = std::int64_t;

// Of logits with their tokens' x and dx; the rest is for a head that is converted and for the losses. Enough rows for
// the products to be limited by arithmetic, and not by reading the head.
constexpr Index tile_bytes = 176 << 20;
constexpr int threads = 512;

__device__ inline float exponential(float x) { return expf(x); }
__device__ inline double exponential(double x) { return exp(x); }

/// losses[t] = logsumexp(logits[t]) - logits[t][target], and dlogits[t] = scale (softmax(logits[t]) - onehot(target)),
/// a block a row. With cap > 0, logits z become cap tanh(z / cap) in their place first, and dlogits are of what they were.
/// A row of dlogits may begin where its logits begin: each step reads at least as far as it writes. The target is kept out
/// of the sum: what its softmax lacks to 1 is the others' part (docs/derivations/cross_entropy.md).
template <class C, class X>
__global__ __launch_bounds__(threads) void softmax_loss(Operand<C> logits, const std::int32_t* targets, double* losses,
                                                        Operand<X> dlogits, Index cols, double scale, C cap) {
  constexpr int unit = Pack<X>::size;
  constexpr C lowest = std::numeric_limits<C>::lowest(), infinity = std::numeric_limits<C>::infinity();
  Index row = static_cast<Index>(blockIdx.x), step = Index{threads} * unit, first = Index{threadIdx.x} * unit;
  int target = targets[row];
  auto with_unit = [&](Index col, auto f) {  // nobody wrote what is beyond the row's end
    return col + unit <= cols ? f(WholeUnit{row, col}) : f(PartUnit{row, col, static_cast<int>(cols - col)});
  };
  auto load = [&](Index col) { return with_unit(col, [&](const auto& at) { return logits.template load<unit>(at); }); };
  auto load_capped = [&](Index col) {
    return with_unit(col, [&](const auto& at) {
      auto values = logits.template load<unit>(at);
      if (cap == 0) return values;
      C capped[unit];
      for (int i = 0; i < unit; ++i) capped[i] = cap * std::tanh(values.template get<C>(i) / cap);
      logits.store(at, capped);
      values.round(capped);
      return values;
    });
  };

  C shift = lowest, sum = 0;
  for (Index col = first; col < cols; col += step) {
    auto values = load_capped(col);
    C largest = shift, terms = 0;
    for (int i = 0; i < unit; ++i) {
      C value = values.template get<C>(i);
      if (col + i < cols && value > largest) largest = value;  // a NaN shows up in the sum
    }
    for (int i = 0; i < unit; ++i)
      terms += exponential((col + i < cols && col + i != target ? values.template get<C>(i) : -infinity) - largest);
    sum = sum * exponential(shift - largest) + terms;
    shift = largest;
  }
  auto* scratch = shared_memory<double>();
  C row_shift = block_reduce<Larger>(shift, reinterpret_cast<C*>(scratch));
  double others = block_reduce(static_cast<double>(sum * exponential(shift - row_shift)), scratch);
  auto near_target = load(target / unit * unit);  // all have met since it was written
  C picked = 0;
  for (int i = 0; i < unit; ++i)
    if (target % unit == i) picked = near_target.template get<C>(i);
  double total = others + static_cast<double>(exponential(picked - row_shift));
  if (threadIdx.x == 0) losses[row] = log(total) + (static_cast<double>(row_shift) - static_cast<double>(picked));
  if (!dlogits) return;

  C factor = static_cast<C>(scale / total), of_target = static_cast<C>(-others * scale / total);
  for (Index begin = 0; begin < cols; begin += step) {
    Index col = begin + first;
    Unit<C, unit> values;
    if (col < cols) values = load(col);
    __syncthreads();
    if (col >= cols) continue;
    C gradient[unit];
    for (int i = 0; i < unit; ++i) {
      C value = values.template get<C>(i);
      gradient[i] = col + i == target ? of_target : exponential(value - row_shift) * factor;
      if (cap != 0) gradient[i] *= 1 - (value / cap) * (value / cap);
    }
    dlogits.store(WholeUnit{row, col}, gradient);
  }
}

/// to[rows[i]] = from[i]
template <class X>
struct Scatter {
  static constexpr int unit = unit_of<X>, batch = 2;
  Operand<X> from, to;
  const std::int32_t* rows;
  using Loaded = Unit<X, unit>;
  template <class At>
  __device__ Loaded load(const At& at) const {
    return from.template load<unit>(at);
  }
  template <class At>
  __device__ void finish(At at, const Loaded& loaded) const {
    SumOf<X> values[unit];
    for (int i = 0; i < unit; ++i) values[i] = loaded.template get<SumOf<X>>(i);
    at.row = rows[at.row];
    to.store(at, values);
  }
};

/// sum = the sum of the losses, and loss = sum / denominator; by one block.
template <class L>
__global__ __launch_bounds__(1024) void add_losses(const double* losses, Index count, double denominator, double* sum,
                                                   L* loss) {
  double part = 0;
  for (Index i = threadIdx.x; i < count; i += blockDim.x) part += losses[i];
  double total = block_reduce(part, shared_memory<double>());
  if (threadIdx.x > 0) return;
  *sum = total;
  *loss = static_cast<L>(total / denominator);
}

bool wanted(const Matrix& m) { return m.rows > 0; }

/// Logits' rows begin at multiples of 128 bytes.
Index logits_stride(const HeadLossArgs& args) {
  Index unit = 128 / static_cast<Index>(size_of(accumulation_type(args.x.dtype)));
  return ceil_div(args.head.rows, unit) * unit;
}

/// Tokens of a tile: as many as fit the budget, cut evenly.
Index rows_of_tile(const HeadLossArgs& args) {
  auto size = [](DType dtype) { return static_cast<Index>(size_of(dtype)); };
  Index bytes = logits_stride(args) * size(accumulation_type(args.x.dtype)) +
                2 * (args.x.cols + args.term.u.cols) * size(args.x.dtype);
  Index fit = std::max<Index>(1, tile_bytes / bytes);
  if (fit > 64) fit = fit / 64 * 64;
  Index tiles = std::max<Index>(1, ceil_div(args.count, fit));
  return std::min(fit, ceil_div(ceil_div(args.count, tiles), 64) * 64);
}

/// The products of some of the tokens, `begin` to `begin + count`, with all that they make on the way.
class Tile {
 public:
  Tile(const HeadLossArgs& args, Index begin, Index count, const Scratch& scratch)
      : args_(args), tokens_(args.tokens + begin), begin_(begin), scratch_(scratch) {
    x_ = scratch_.take(args.x.dtype, count, args.x.cols);
    logits_ = scratch_.take(accumulation_type(args.x.dtype), count, logits_stride(args));
    logits_.cols = args.head.rows;
    if (wanted(args.dx)) dx_ = scratch_.take(args.x.dtype, count, args.x.cols);
    if (has_term()) u_ = scratch_.take(args.x.dtype, count, args.term.u.cols);
    if (wanted(args.term.du)) du_ = scratch_.take(args.x.dtype, count, args.term.u.cols);
    if (!wanted(args.dx) && !wanted(args.dhead) && !wanted(args.term.du) && !wanted(args.term.db)) return;
    dlogits_ = logits_;  // in the operands' type, on the logits
    dlogits_.dtype = args.x.dtype;
    dlogits_.stride *= static_cast<Index>(size_of(logits_.dtype) / size_of(dlogits_.dtype));
  }

  std::size_t scratch(Device& device) const {
    std::size_t most = scratch_bytes(device, logits());
    auto add = [&](const GemmArgs& g) { most = std::max(most, scratch_bytes(device, g)); };
    if (has_term()) add(term_logits());
    if (wanted(args_.dx)) add(dx());
    if (wanted(args_.dhead)) add(dhead());
    if (wanted(args_.term.du)) add(du());
    if (wanted(args_.term.db)) add(db());
    return scratch_.used() + most;
  }

  void run(Device& device, double* losses) const {
    void* rest = scratch_.rest();
    embedding(device, {.table = args_.x, .ids = tokens_, .out = x_});
    gemm(device, logits(), rest);
    if (has_term()) {
      embedding(device, {.table = args_.term.u, .ids = tokens_, .out = u_});
      gemm(device, term_logits(), rest);
    }
    with_type(x_.dtype, [&](auto element) {
      using X = decltype(element);
      using C = SumOf<X>;
      launch(device, softmax_loss<C, X>, static_cast<unsigned>(x_.rows), threads, 32 * sizeof(double),
             Operand<C>(logits_), args_.ids + begin_, losses + begin_, Operand<X>(dlogits_), logits_.cols,
             1 / args_.denominator, static_cast<C>(args_.soft_cap));
    });
    if (wanted(args_.dx)) {
      gemm(device, dx(), rest);
      scatter(device, dx_, args_.dx);
    }
    if (wanted(args_.term.du)) {
      gemm(device, du(), rest);
      scatter(device, du_, args_.term.du);
    }
    if (wanted(args_.dhead)) gemm(device, dhead(), rest);
    if (wanted(args_.term.db)) gemm(device, db(), rest);
  }

 private:
  GemmArgs logits() const { return {.c = logits_, .a = x_, .b = args_.head, .transpose_b = true}; }
  GemmArgs dx() const { return {.c = dx_, .a = dlogits_, .b = args_.head}; }
  GemmArgs dhead() const { return of_rows(args_.dhead, x_); }
  GemmArgs term_logits() const { return {.c = logits_, .a = u_, .b = args_.term.b, .transpose_b = true, .beta = 1}; }
  GemmArgs du() const { return {.c = du_, .a = dlogits_, .b = args_.term.b}; }
  GemmArgs db() const { return of_rows(args_.term.db, u_); }
  GemmArgs of_rows(const Matrix& gradient, const ConstMatrix& factor) const {
    return {.c = gradient, .a = dlogits_, .b = factor, .transpose_a = true, .beta = begin_ > 0 ? 1.0 : 0.0};
  }
  bool has_term() const { return args_.term.u.cols > 0; }

  /// The tile's rows to those of its tokens.
  void scatter(Device& device, const Matrix& from, const Matrix& to) const {
    with_type(from.dtype, [&](auto element) {
      using X = decltype(element);
      for_units(device, from.rows, from.cols, {from, to}, Scatter<X>{Operand<X>(from), Operand<X>(to), tokens_});
    });
  }

  const HeadLossArgs& args_;
  const std::int32_t* tokens_;
  Index begin_;
  Scratch scratch_;
  Matrix x_, u_, logits_, dlogits_, dx_, du_;
};

}  // namespace

std::size_t scratch_bytes(Device& device, const HeadLossArgs& args) {
  if (args.count == 0) return 0;
  Scratch scratch(nullptr);
  scratch.take<double>(args.count);
  Index size = rows_of_tile(args), last = (args.count - 1) / size * size;
  return std::max(Tile(args, 0, std::min(size, args.count), scratch).scratch(device),
                  Tile(args, last, args.count - last, scratch).scratch(device));
}

void head_loss(Device& device, const HeadLossArgs& args, void* memory) {
  auto clear = [&](const Matrix& gradient) {
    if (wanted(gradient)) accumulate(device, {gradient, 0, gradient, 0});
  };
  for (const Matrix& gradient : {args.dx, args.term.du}) clear(gradient);
  if (args.count == 0)
    for (const Matrix& gradient : {args.dhead, args.term.db}) clear(gradient);
  Scratch scratch(memory);
  double* losses = scratch.take<double>(args.count);
  if (args.count > 0)
    for (Index begin = 0, size = rows_of_tile(args); begin < args.count; begin += size)
      Tile(args, begin, std::min(size, args.count - begin), scratch).run(device, losses);
  with_type(args.loss.dtype, [&](auto element) {
    using L = decltype(element);
    if constexpr (!std::is_same_v<L, bf16>)
      launch(device, add_losses<L>, 1, 1024, 32 * sizeof(double), losses, args.count, args.denominator, args.sum,
             static_cast<L*>(args.loss.data));
  });
}

}  // namespace loragrad::cuda
