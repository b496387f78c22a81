#pragma once
#include <algorithm>

#include "engine/kernels.h"
#include "ops/cpu/gemm_tiles.h"
#include "ops/cpu/instruction_sets.h"

namespace loragrad::cpu {

/// What is multiplied: bf16 only where the processor does.
inline DType operand_type(const HeadLossArgs& args) {
  return args.x.dtype == DType::bf16 && !has_bf16() ? DType::f32 : args.x.dtype;
}

/// Whether the weights of all tokens of a group are kept, for gradients of rows of the head.
inline bool keeps_weights(const HeadLossArgs& args) { return args.dhead.rows > 0 || args.term.db.rows > 0; }

/// How head and loss are cut, by the shapes alone: tokens in groups, one after the other; a group in strips of tokens
/// times parts of the vocabulary, for threads to share; and a part in panels, one after the other.
class HeadCut {
 public:
  static constexpr std::int64_t most_parts = 16;
  explicit HeadCut(const HeadLossArgs& args) {
    auto size = [](DType type) { return static_cast<Index>(size_of(type)); };
    DType type = operand_type(args);
    sums_ = bytes_of_sums /
            std::max<Index>(1, (args.head.cols + args.term.u.cols) * (size(type) + size(accumulation_type(type))));
    tallest_ = std::clamp<Index>(sums_ / enough_items / 16 * 16, lowest_strip, tallest_strip);
    group_ = std::max(lowest_strip, std::min(sums_, enough_items * tallest_));
    if (keeps_weights(args))
      group_ = std::clamp(bytes_of_weights / (args.head.rows * size(type)), lowest_strip, group_);
  }
  Pieces groups(std::int64_t tokens) const { return {tokens, group_}; }
  Pieces panels(std::int64_t vocab) const { return {vocab, panel_width}; }
  /// Of about one height: a low one takes nearly as long.
  Pieces strips(std::int64_t tokens) const {
    Index count = Pieces{tokens, tallest_}.count();
    return {tokens, ((tokens + count - 1) / count + 15) / 16 * 16};
  }
  std::int64_t parts(std::int64_t tokens, std::int64_t panels) const {
    return std::clamp<Index>(std::min(enough_items / strips(tokens).count(), sums_ / tokens), 1, panels);
  }

 private:
  using Index = std::int64_t;
  // The logits of a strip for a panel stay in a thread's cache; in lower strips the products mostly wait for the head
  // (docs/design/007).
  static constexpr Index panel_width = 512, lowest_strip = 128, tallest_strip = 256,
                         enough_items = most_parts;  // strips times parts
  static constexpr Index bytes_of_sums = 44 << 20, bytes_of_weights = 54 << 20;
  Index sums_, tallest_, group_;  // tokens; of sums, times parts
};

}  // namespace loragrad::cpu
