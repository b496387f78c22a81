#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>

#include "ops/cpu/dispatch.h"
#include "ops/cpu/gemm_tiles.h"
#include "ops/cpu/head_cut.h"
#include "ops/cpu/kernels.h"
#include "ops/cpu/running_softmax.h"
#include "ops/cpu/scratch.h"
#include "ops/cpu/slots.h"

// To x this is attention: a token attends to the vocabulary, whose rows are the keys and the values at once, and its
// target's row is taken off. So it is computed as attention is, a panel of the vocabulary at a time with a running softmax:
// no logit is made twice, none leaves the cache (docs/derivations/cross_entropy.md).
namespace loragrad::cpu {
namespace {

using Index = std::int64_t;

bool wanted(const Matrix& gradient) { return gradient.rows > 0; }

/// The gradient of a token's logits: factor exp(logit - shift), and `target` at the target.
template <class C>
struct LogitGradient {
  C shift, factor, target;
};

/// Tokens `begin` to `begin + count` of those with a target, with all that they make on the way.
template <class C>
class Group {
 public:
  Group(const HeadLossArgs& args, Index begin, Index count, void* memory)
      : args_(args), begin_(begin), count_(count), scratch_(memory) {
    HeadCut cut(args);
    strips_ = cut.strips(count);
    panels_ = cut.panels(args.head.rows);
    parts_ = cut.parts(count, panels_.count());
    x_ = scratch_.take(type_, count, args.head.cols);
    softmax_ = scratch_.take<RunningSoftmax<C>>(parts_ * count);
    target_ = scratch_.take<C>(count);
    gradient_ = scratch_.take<LogitGradient<C>>(count);
    losses_ = scratch_.take<double>(count);
    if (wanted(args.dx)) sums_ = scratch_.take(sum_type_, parts_ * count, args.head.cols);
    if (!wanted(args.dhead)) return;
    kept_ = scratch_.take(type_, 1, count * args.head.rows);
    kept_shifts_ = scratch_.take<C>(count * panels_.count());
  }

  std::size_t scratch(Device& device) const {
    Index items = std::max(strips_.count() * parts_, wanted(args_.dhead) ? panels_.count() : 0);
    return scratch_.used() + static_cast<std::size_t>(slots(device, items)) * slot_bytes();
  }

  /// Adds the tokens' losses to `sum`, in order.
  double run(Device& device, double sum) const {
    std::size_t bytes = slot_bytes();
    embedding(device, {.table = args_.x, .ids = args_.tokens + begin_, .out = x_}, nullptr);
    run_in_slots(device, strips_.count() * parts_, bytes, scratch_.rest(),
                 [&](Index i, void* slot) { attend(i % strips_.count(), i / strips_.count(), slot); });
    for_row_tiles(device, count_, parts_ * args_.head.cols, [&](Index first, Index last) {
      for (Index t = first; t < last; ++t) join(t);
    });
    if (wanted(args_.dhead))
      run_in_slots(device, panels_.count(), bytes, scratch_.rest(), [&](Index i, void* slot) { add_to_head(i, slot); });
    return std::accumulate(losses_, losses_ + count_, sum);
  }

 private:
  /// What a thread needs for one panel: the logits of a strip, their weights, which lie on them where nothing is narrower,
  /// and the head's rows where they are of another type.
  struct Slot {
    Slot(const Group& g, Index rows, Index cols, void* memory) : scratch(memory) {
      z = scratch.take(g.sum_type_, rows, cols);
      weights = g.type_ == g.sum_type_ ? z : scratch.take(g.type_, rows, cols);
      if (g.copies_head()) head = scratch.take(g.type_, cols, g.args_.head.cols);
    }
    Scratch scratch;
    Matrix z, weights, head;
  };

  GemmArgs logits(Index strip, const Matrix& z, const ConstMatrix& head) const {
    return {.c = z, .a = row_range(x_, strips_.begin(strip), z.rows), .b = head, .transpose_b = true};
  }

  /// The strip's softmax and sums over one part of the vocabulary.
  void attend(Index strip, Index part, void* memory) const {
    Index first = strips_.begin(strip), rows = strips_.length(strip), row = part * count_ + first;
    RunningSoftmax<C>* softmax = softmax_ + row;
    std::fill_n(softmax, rows, RunningSoftmax<C>());
    Matrix sums = row_range(sums_, row, rows);
    Index begin = panels_.count() * part / parts_, end = panels_.count() * (part + 1) / parts_;
    for (Index p = begin; p < end; ++p) {
      Slot slot(*this, rows, panels_.length(p), memory);
      ConstMatrix head = panel_of_head(p, slot.head);
      multiply_here(logits(strip, slot.z, head), slot.scratch.rest());
      Matrix weights = wanted(args_.dhead) ? row_range(kept(p), first, rows) : slot.weights;
      for (Index r = 0; r < rows; ++r) {
        C factor = weigh(p, first + r, slot.z, weights, r, softmax[r]);
        if (factor != 1 && wanted(args_.dx) && p > begin) Map<C>(row_of(sums, r), sums.cols) *= factor;
      }
      if (wanted(args_.dhead))
        for (Index r = 0; r < rows; ++r) kept_shifts_[p * count_ + first + r] = softmax[r].shift;
      if (wanted(args_.dx))
        multiply_here({.c = sums, .a = weights, .b = head, .beta = p > begin ? 1.0 : 0.0}, slot.scratch.rest());
    }
  }

  static C* row_of(const Matrix& m, Index row) { return static_cast<C*>(row_range(m, row, 1).data); }

  /// A token's logits for a panel, a row of z, to weights, into its softmax, and what its sums so far are to be multiplied by.
  C weigh(Index p, Index token, const Matrix& z, const Matrix& weights, Index row, RunningSoftmax<C>& softmax) const {
    C soft_cap = static_cast<C>(args_.soft_cap);
    Index target = args_.ids[begin_ + token] - panels_.begin(p);
    if (soft_cap > 0) cap_row(z, row, soft_cap);
    if (target >= 0 && target < z.cols) load(z, row, target, 1, target_ + token);
    C factor = softmax.raise(largest_of_row<C>(z, row));
    softmax.others += weigh_row(z, row, softmax.shift, target, soft_cap, weights);
    return factor;
  }

  /// Joins what the parts of the vocabulary found for a token.
  void join(Index t) const {
    RunningSoftmax<C> all;
    for (Index p = 0; p < parts_; ++p) all.raise(softmax_[p * count_ + t].shift);
    std::array<C, HeadCut::most_parts> scales;
    for (Index p = 0; p < parts_; ++p) {
      const RunningSoftmax<C>& part = softmax_[p * count_ + t];
      scales[static_cast<std::size_t>(p)] = std::exp(part.shift - all.shift);
      all.others += part.others * static_cast<double>(scales[static_cast<std::size_t>(p)]);
    }
    double z = static_cast<double>(target_[t]), shift = static_cast<double>(all.shift),
           total = all.others + std::exp(z - shift);
    losses_[t] = std::log(total) + (shift - z);
    double slope = args_.soft_cap > 0 ? 1 - (z / args_.soft_cap) * (z / args_.soft_cap) : 1;
    double factor = 1 / (total * args_.denominator);
    gradient_[t] = {all.shift, static_cast<C>(factor), static_cast<C>(-all.others * slope * factor)};
    if (wanted(args_.dx)) write_dx(t, scales.data());
  }

  /// `scales` are what the sums of each part are to be multiplied by, for one shift of all.
  void write_dx(Index t, const C* scales) const {
    const LogitGradient<C>& gradient = gradient_[t];
    Block<C> sum, values;
    for_row_blocks(x_.cols, [&](Index col, Index n) {
      sum.setZero();
      for (Index p = 0; p < parts_; ++p) {
        load(sums_, p * count_ + t, col, n, values);
        sum += values * (scales[p] * gradient.factor);
      }
      load(args_.head, args_.ids[begin_ + t], col, n, values);
      sum += values * gradient.target;
      store(sum, 0, args_.dx, args_.tokens[begin_ + t], col, n);
    });
  }

  /// Weights of a panel to dz, in their place, and dhead += dzᵀ x.
  void add_to_head(Index p, void* memory) const {
    Matrix dz = kept(p), dhead = row_range(args_.dhead, panels_.begin(p), dz.cols);
    for (Index t = 0; t < count_; ++t) {
      C factor = std::exp(kept_shifts_[p * count_ + t] - gradient_[t].shift) * gradient_[t].factor;
      Index target = args_.ids[begin_ + t] - panels_.begin(p);
      Block<C> values;
      for_row_blocks(dz.cols, [&](Index col, Index n) {
        load(dz, t, col, n, values);
        values *= factor;
        if (target >= col && target < col + n) values[target - col] = gradient_[t].target;
        store(values, 0, dz, t, col, n);
      });
    }
    Scratch scratch(memory);
    GemmArgs g = head_gradient(p, scratch);
    multiply_here(g, scratch.rest());
    if (g.c.data != dhead.data) copy_here<C>(g.c, 1, dhead);
  }
  /// Onto dhead itself, where the library adds to its type.
  GemmArgs head_gradient(Index p, Scratch& scratch) const {
    Matrix dz = kept(p);
    GemmArgs g{
        .c = row_range(args_.dhead, panels_.begin(p), dz.cols), .a = dz, .b = x_, .transpose_a = true, .beta = 1};
    if (g.c.dtype == type_ || g.c.dtype == sum_type_) return g;
    g.c = scratch.take(sum_type_, g.c.rows, g.c.cols);
    g.beta = 0;
    return g;
  }

  /// Weights, then dz, of all tokens for a panel.
  Matrix kept(Index p) const {
    Matrix m = column_range(kept_, panels_.begin(p) * count_, panels_.length(p));
    m.rows = count_;
    m.stride = m.cols;
    return m;
  }

  bool copies_head() const { return args_.head.dtype != type_ || args_.head.stride != args_.head.cols; }
  /// The head's rows of a panel as the products take them: as they lie, or copied to `memory`.
  ConstMatrix panel_of_head(Index p, const Matrix& memory) const {
    ConstMatrix head = row_range(static_cast<ConstMatrix>(args_.head), panels_.begin(p), panels_.length(p));
    if (!copies_head()) return head;
    copy_here<C>(head, 0, memory);
    return memory;
  }

  /// Scratch space of a thread: the most that an item asks for. Items differ in the last strip and the last panel.
  std::size_t slot_bytes() const {
    std::size_t most = 0;
    for (Index p : {Index{0}, panels_.count() - 1}) {
      for (Index strip : {Index{0}, strips_.count() - 1}) {
        Slot slot(*this, strips_.length(strip), panels_.length(p), nullptr);
        ConstMatrix head = copies_head() ? ConstMatrix(slot.head)
                                         : row_range(static_cast<ConstMatrix>(args_.head), 0, panels_.length(p));
        std::size_t library = here_scratch(logits(strip, slot.z, head));
        if (wanted(args_.dx))
          for (double beta : {0.0, 1.0})
            library = std::max(
                library,
                here_scratch({.c = row_range(sums_, 0, slot.z.rows), .a = slot.weights, .b = head, .beta = beta}));
        most = std::max(most, slot.scratch.used() + library);
      }
      if (!wanted(args_.dhead)) continue;
      Scratch scratch(nullptr);
      std::size_t library = here_scratch(head_gradient(p, scratch));
      most = std::max(most, scratch.used() + library);
    }
    return whole_lines(most);
  }

  const HeadLossArgs& args_;
  Index begin_, count_, parts_ = 1;
  DType type_ = operand_type(args_), sum_type_ = accumulation_type(args_.x.dtype);
  Pieces strips_{}, panels_{};
  Scratch scratch_;
  Matrix x_, sums_, kept_;
  RunningSoftmax<C>* softmax_ = nullptr;
  LogitGradient<C>* gradient_ = nullptr;
  C *target_ = nullptr, *kept_shifts_ = nullptr;
  double* losses_ = nullptr;
};

/// The group's scratch space, and its losses added to `sum`.
std::size_t group_bytes(Device& device, const HeadLossArgs& args, Index begin, Index count) {
  return args.x.dtype == DType::f64 ? Group<double>(args, begin, count, nullptr).scratch(device)
                                    : Group<float>(args, begin, count, nullptr).scratch(device);
}
double run_group(Device& device, const HeadLossArgs& args, Index begin, Index count, void* scratch, double sum) {
  return args.x.dtype == DType::f64 ? Group<double>(args, begin, count, scratch).run(device, sum)
                                    : Group<float>(args, begin, count, scratch).run(device, sum);
}

}  // namespace

std::size_t scratch_bytes(Device& device, const HeadLossArgs& args) {
  if (args.count == 0) return 0;
  Pieces groups = HeadCut(args).groups(args.count);
  Index last = groups.count() - 1;
  return std::max(group_bytes(device, args, 0, groups.length(0)),
                  group_bytes(device, args, groups.begin(last), groups.length(last)));
}

void head_loss(Device& device, const HeadLossArgs& args, void* scratch) {
  for (const Matrix& gradient : {args.dx, args.dhead})
    if (wanted(gradient)) accumulate(device, {gradient, 0, gradient, 0});
  double sum = 0;
  Pieces groups = HeadCut(args).groups(args.count);
  for (Index i = 0; args.count > 0 && i < groups.count(); ++i)
    sum = run_group(device, args, groups.begin(i), groups.length(i), scratch, sum);
  *args.sum = sum;
  double loss = sum / args.denominator;
  store(&loss, 0, args.loss, 0, 0, 1);
}

}  // namespace loragrad::cpu
