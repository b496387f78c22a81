#pragma once
#include <string_view>
#include <vector>

#include "engine/weight.h"
#include "lora/adapter.h"

namespace loragrad {

/// One adapter's part in a merge.
struct MergeTerm {
  const LoraModule* module = nullptr;
  double weight = 1;
  std::string_view parameter = "weight";  ///< which of those that the module's variant merges into
};

/// What rounding left of a change D that was to be made: with C the change made, <C, D> of |D|². A weight of few bits
/// does not take a change below half of its last bit's step, so a small adapter disappears: the share is then near 0.
/// Where it is near 1 the adapter is there, with noise of at most its own size.
struct ChangeKept {
  double intended = 0;  ///< |D|²
  double kept = 0;      ///< <C, D>

  double share() const { return intended > 0 ? kept / intended : 1; }
  ChangeKept& operator+=(const ChangeKept& other) {
    intended += other.intended;
    kept += other.kept;
    return *this;
  }
};

/// A block of W', and where it is asked what is kept of a change also W and the change, are what a merge takes beside W
/// and W': on the device and again on the host. Each has so many bytes, or one row.
constexpr std::size_t merge_block_bytes = std::size_t{32} << 20;

/// W' = W + what each term's variant adds: weight_i s_i B_i A_i (transposed for an [in, out] weight), or to a bias
/// weight_i s_i b_i. Accumulated in f32 (f64 for an f64 base) and rounded once to W's own dtype (bf16, f16, f32, f64).
/// Returns the bytes as W's file has them. NumericError naming
/// `name` for NaN or Inf in W, the adapters or the result; ShapeError for factors that do not fit W or lie on another
/// device. `kept`, where given, gets what the rounding left.
std::vector<std::byte> merge_weight(const std::string& name, const Weight& w, const std::vector<MergeTerm>& terms,
                                    ChangeKept* kept = nullptr);

}  // namespace loragrad
