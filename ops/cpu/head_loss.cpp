#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>
#include <utility>
#include <vector>

#include "ops/cpu/dispatch.h"
#include "ops/cpu/gemm_split.h"
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
    if (has_term()) u_ = scratch_.take(type_, count, args.term.u.cols);
    if (wanted(args.term.du)) term_sums_ = scratch_.take(sum_type_, parts_ * count, args.term.u.cols);
    if (!keeps_weights(args)) return;
    kept_ = scratch_.take(type_, 1, count * args.head.rows);
    kept_shifts_ = scratch_.take<C>(count * panels_.count());
  }

  std::size_t scratch(Device& device) const {
    Index items = std::max(strips_.count() * parts_, keeps_weights(args_) ? panels_.count() : 0);
    return scratch_.used() + static_cast<std::size_t>(slots(device, items)) * slot_bytes();
  }

  /// Adds the tokens' losses to `sum`, in order.
  double run(Device& device, double sum) const {
    std::size_t bytes = slot_bytes();
    embedding(device, {.table = args_.x, .ids = args_.tokens + begin_, .out = x_}, nullptr);
    if (has_term()) embedding(device, {.table = args_.term.u, .ids = args_.tokens + begin_, .out = u_}, nullptr);
    run_in_slots(device, strips_.count() * parts_, bytes, scratch_.rest(),
                 [&](Index i, void* slot) { attend(i % strips_.count(), i / strips_.count(), slot); });
    for_row_tiles(device, count_, parts_ * args_.head.cols, [&](Index first, Index last) {
      for (Index t = first; t < last; ++t) join(t);
    });
    if (keeps_weights(args_))
      run_in_slots(device, panels_.count(), bytes, scratch_.rest(), [&](Index i, void* slot) { add_to_head(i, slot); });
    return std::accumulate(losses_, losses_ + count_, sum);
  }

 private:
  bool has_term() const { return args_.term.u.cols > 0; }

  /// What a thread needs for one panel: the logits of a strip, their weights, which lie on them where nothing is narrower,
  /// and the rows of the head and of the term's b where they are of another type.
  struct Slot {
    Slot(const Group& g, Index rows, Index cols, void* memory) : scratch(memory) {
      z = scratch.take(g.sum_type_, rows, cols);
      weights = g.type_ == g.sum_type_ ? z : scratch.take(g.type_, rows, cols);
      head = g.room_for_panel(scratch, g.args_.head, cols);
      b = g.room_for_panel(scratch, g.args_.term.b, cols);
    }
    Scratch scratch;
    Matrix z, weights, head, b;
  };

  GemmArgs logits(Index strip, const Matrix& z, const ConstMatrix& head) const {
    return {.c = z, .a = row_range(x_, strips_.begin(strip), z.rows), .b = head, .transpose_b = true};
  }
  GemmArgs term_logits(Index strip, const Matrix& z, const ConstMatrix& b) const {
    return {.c = z, .a = row_range(u_, strips_.begin(strip), z.rows), .b = b, .transpose_b = true, .beta = 1};
  }
  /// sums += weights times a panel's rows of the head, or of b; the first panel of a part has nothing to add to.
  static GemmArgs attended(const Matrix& sums, const Matrix& weights, const ConstMatrix& rows, bool first) {
    return {.c = sums, .a = weights, .b = rows, .beta = first ? 0.0 : 1.0};
  }

  /// The strip's softmax and sums over one part of the vocabulary.
  void attend(Index strip, Index part, void* memory) const {
    Index first = strips_.begin(strip), rows = strips_.length(strip), row = part * count_ + first;
    RunningSoftmax<C>* softmax = softmax_ + row;
    std::fill_n(softmax, rows, RunningSoftmax<C>());
    Matrix sums = row_range(sums_, row, rows), term_sums = row_range(term_sums_, row, rows);
    Index begin = panels_.count() * part / parts_, end = panels_.count() * (part + 1) / parts_;
    for (Index p = begin; p < end; ++p) {
      Slot slot(*this, rows, panels_.length(p), memory);
      void* rest = slot.scratch.rest();
      ConstMatrix head = panel_of(args_.head, p, slot.head), b = panel_of(args_.term.b, p, slot.b);
      multiply_here(logits(strip, slot.z, head), rest);
      if (has_term()) multiply_here(term_logits(strip, slot.z, b), rest);
      Matrix weights = keeps_weights(args_) ? row_range(kept(p), first, rows) : slot.weights;
      for (Index r = 0; r < rows; ++r) {
        C factor = weigh(p, first + r, slot.z, weights, r, softmax[r]);
        if (factor == 1 || p == begin) continue;
        if (wanted(args_.dx)) Map<C>(row_of(sums, r), sums.cols) *= factor;
        if (wanted(args_.term.du)) Map<C>(row_of(term_sums, r), term_sums.cols) *= factor;
      }
      if (keeps_weights(args_))
        for (Index r = 0; r < rows; ++r) kept_shifts_[p * count_ + first + r] = softmax[r].shift;
      if (wanted(args_.dx)) multiply_here(attended(sums, weights, head, p == begin), rest);
      if (wanted(args_.term.du)) multiply_here(attended(term_sums, weights, b, p == begin), rest);
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
    if (wanted(args_.dx)) write_gradient(t, scales.data(), sums_, args_.head, args_.dx);
    if (wanted(args_.term.du)) write_gradient(t, scales.data(), term_sums_, args_.term.b, args_.term.du);
  }

  /// A token's row of dx, of the head's rows, or of du, of b's. `scales` are what the sums of each part are to be
  /// multiplied by, for one shift of all.
  void write_gradient(Index t, const C* scales, const Matrix& sums, const ConstMatrix& rows, const Matrix& to) const {
    const LogitGradient<C>& gradient = gradient_[t];
    Block<C> sum, values;
    for_row_blocks(to.cols, [&](Index col, Index n) {
      sum.setZero();
      for (Index p = 0; p < parts_; ++p) {
        load(sums, p * count_ + t, col, n, values);
        sum += values * (scales[p] * gradient.factor);
      }
      load(rows, args_.ids[begin_ + t], col, n, values);
      sum += values * gradient.target;
      store(sum, 0, to, args_.tokens[begin_ + t], col, n);
    });
  }

  /// Weights of a panel to dz, in their place, and dhead += dzᵀ x, db += dzᵀ u.
  void add_to_head(Index p, void* memory) const {
    Matrix dz = kept(p);
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
    for (const auto& [gradient, factor] : row_gradients()) {
      Scratch scratch(memory);
      GemmArgs g = row_gradient(gradient, factor, p, scratch);
      multiply_here(g, scratch.rest());
      Matrix to = row_range(gradient, panels_.begin(p), dz.cols);
      if (g.c.data != to.data) copy_here<C>(g.c, 1, to);
    }
  }
  /// Those of the head's and b's rows that are wanted, and what dzᵀ is multiplied by.
  std::vector<std::pair<Matrix, Matrix>> row_gradients() const {
    std::vector<std::pair<Matrix, Matrix>> list;
    if (wanted(args_.dhead)) list.emplace_back(args_.dhead, x_);
    if (wanted(args_.term.db)) list.emplace_back(args_.term.db, u_);
    return list;
  }
  /// Onto the gradient itself, where the library adds to its type.
  GemmArgs row_gradient(const Matrix& gradient, const Matrix& factor, Index p, Scratch& scratch) const {
    Matrix dz = kept(p);
    GemmArgs g{
        .c = row_range(gradient, panels_.begin(p), dz.cols), .a = dz, .b = factor, .transpose_a = true, .beta = 1};
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

  bool copies(const ConstMatrix& rows) const {
    return (rows.dtype != type_ && !multiplies_split(type_, rows.dtype)) || rows.stride != rows.cols;
  }
  Matrix room_for_panel(Scratch& scratch, const ConstMatrix& rows, Index count) const {
    return copies(rows) ? scratch.take(type_, count, rows.cols) : Matrix();
  }
  /// A panel's rows as the products take them: as they lie, or copied to `memory`.
  ConstMatrix panel_of(const ConstMatrix& all, Index p, const Matrix& memory) const {
    ConstMatrix rows = row_range(all, panels_.begin(p), panels_.length(p));
    if (!copies(all)) return rows;
    copy_here<C>(rows, 0, memory);
    return memory;
  }

  /// Scratch space of a thread: the most that an item asks for. Items differ in the last strip and the last panel.
  std::size_t slot_bytes() const {
    std::size_t most = 0;
    for (Index p : {Index{0}, panels_.count() - 1}) {
      for (Index strip : {Index{0}, strips_.count() - 1}) {
        Slot slot(*this, strips_.length(strip), panels_.length(p), nullptr);
        auto rows_of = [&](const ConstMatrix& all, const Matrix& copy) {
          return copies(all) ? ConstMatrix(copy) : row_range(all, 0, panels_.length(p));
        };
        ConstMatrix head = rows_of(args_.head, slot.head), b = rows_of(args_.term.b, slot.b);
        std::size_t library = here_scratch(logits(strip, slot.z, head));
        auto add = [&](const GemmArgs& g) { library = std::max(library, here_scratch(g)); };
        if (has_term()) add(term_logits(strip, slot.z, b));
        for (bool first : {true, false}) {
          if (wanted(args_.dx)) add(attended(row_range(sums_, 0, slot.z.rows), slot.weights, head, first));
          if (wanted(args_.term.du)) add(attended(row_range(term_sums_, 0, slot.z.rows), slot.weights, b, first));
        }
        most = std::max(most, slot.scratch.used() + library);
      }
      for (const auto& [gradient, factor] : row_gradients()) {
        Scratch scratch(nullptr);
        std::size_t library = here_scratch(row_gradient(gradient, factor, p, scratch));
        most = std::max(most, scratch.used() + library);
      }
    }
    return whole_lines(most);
  }

  const HeadLossArgs& args_;
  Index begin_, count_, parts_ = 1;
  DType type_ = operand_type(args_), sum_type_ = accumulation_type(args_.x.dtype);
  Pieces strips_{}, panels_{};
  Scratch scratch_;
  Matrix x_, u_, sums_, term_sums_, kept_;
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
  for (const Matrix& gradient : {args.dx, args.dhead, args.term.du, args.term.db})
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
