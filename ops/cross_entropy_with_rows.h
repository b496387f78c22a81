#pragma once
// Threads: one at a time for each device (engine/device.h).
#include <vector>

#include "engine/weight.h"
#include "ops/cross_entropy.h"

namespace loragrad {

/// A head [vocab, d] of which rows `ids` are those of a tensor [n, d]. It is a copy of the head, since the head's kernel
/// reads one matrix, and has a column more for each such row, with a 1 in that row. Where x is 0 for these columns they
/// change no logit, and the gradient that the kernel gives for them is that of the rows' own logits.
class HeadWithRows {
 public:
  /// ShapeError where `values` does not fit. Of an f16 head the copy is f32.
  HeadWithRows(const Weight& head, const std::vector<std::int32_t>& ids, const Tensor& values);

  const Tensor& values() const { return values_; }
  std::int64_t width() const { return width_; }
  /// [vocab, d], with the rows as they are now.
  Weight weight() const;
  /// The same with the columns, of which the first n are the rows', and some of zeros that make their number even.
  Weight with_columns() const;

 private:
  Tensor values_, ids_;
  mutable Tensor wide_;
  std::int64_t width_;
};

/// cross_entropy with such a head, which is frozen but for the rows: beside dx, dvalues[k] = Σ_t dz_t[ids[k]] x_t.
CrossEntropy cross_entropy_with_rows(const Tensor& x, const HeadWithRows& head, const Targets& targets,
                                     double denominator, double soft_cap = 0);

}  // namespace loragrad
