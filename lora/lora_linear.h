#pragma once
// Threads: one at a time for each device (engine/device.h).
#include <vector>

#include "engine/parameter.h"
#include "ops/dropout.h"
#include "ops/linear.h"

namespace loragrad {

/// DoRA's part of a term: m [1, out], the lengths that the rows of W + s B A get. What is added to the map's output is
/// `weight` times the difference that they make.
struct LoraMagnitude {
  Tensor m = {};  ///< undefined: none
  double weight = 1;
  Tensor norm = {};  ///< the lengths that they have, [1, out]; undefined: they are formed
};

/// One adapter's part in a linear map: A [r, in], B [out, r], perhaps a bias of B [1, out] (f32, or f64 with f64 x),
/// scale s = alpha/r times the adapter's weight (s alone beside a magnitude).
struct LoraTerm {
  Tensor a, b;
  double scale = 1;
  Dropout dropout = {};
  IndexRange tokens = {};   ///< of x, for which it counts
  bool rows_alone = false;  ///< what it adds to a row has the same bits whatever its tokens are (GemmArgs)
  Tensor b_bias = {};       ///< undefined: none
  LoraMagnitude magnitude = {};
};

/// y = x Wᵀ + bias + Σ_i s_i ((drop_i(x) A_iᵀ) B_iᵀ + b_i), term i in its tokens.      Hu et al. 2021, section 4.1
/// x [tokens, in], W [out, in] (or stored [in, out]: its layout) -> [tokens, out] in x's dtype.
/// Two nodes: h = drop(x) Aᵀ of all terms (lora_down.h), and y. Backward, per term, with h [tokens, r] kept:
/// dh = s dy B, dB = s dyᵀ h, db = s times dy's column sums, dx = dy W + drop(dh A). Of a frozen W there is no dW.
/// With a magnitude m (Liu et al. 2024, DoRA, sections 4.1 and 4.3) the term adds, for n the lengths of the rows of
/// W + s B A, which count as constants in backward, and c = m / n:  weight ((c - 1) ∘ W drop(x) + c ∘ s B A drop(x)).
/// W is frozen then, no two such terms meet in a token, and B A is never formed (lora/magnitude.h).
/// Throws ShapeError naming both shapes.
Tensor lora_linear(const Tensor& x, const Parameter& w, const Parameter& bias, const std::vector<LoraTerm>& terms);

/// A linear map and the terms that are added to it, or none.
struct LoraMap {
  Parameter w, bias;
  std::vector<LoraTerm> terms;
  bool rows_alone = false;  ///< of x Wᵀ + bias; of a term its own says
};
/// y of several maps of one x: their A's are multiplied side by side, so that x is read once for all of them.
std::vector<Tensor> lora_linears(const Tensor& x, const std::vector<LoraMap>& maps);

}  // namespace loragrad
