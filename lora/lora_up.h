#pragma once
#include <string_view>
#include <vector>

#include "lora/lora_linear.h"
#include "lora/magnitude.h"

/// What terms add to the output of a map, once h, what A makes of the input, is there. The input may be x or token ids:
/// lora_linear and lora_embedding share this half, and so do the logits of an adapted head.
namespace loragrad {

/// The tokens of an input of `rows` that a term is for.
IndexRange tokens_of(const LoraTerm& term, std::int64_t rows);

/// A term with B as the products take it; h is put in.
struct FormedTerm {
  Tensor h, b, b_bias;
  double scale;
  IndexRange tokens;
  bool rows_alone;
  FormedMagnitude magnitude = {};
  Tensor e = {};  ///< beside a magnitude in training: W drop(x) + s h Bᵀ
};
/// All but h, for an output of type `dtype`, to which the map's own part comes times `scale`.
FormedTerm form_term(const Parameter& w, const LoraTerm& term, IndexRange tokens, DType dtype, double scale = 1);
/// Adds all terms to y, which is the map's own output. Where none has dropout x is not read.
void add_terms(const std::vector<FormedTerm>& terms, const ConstMatrix& x, const Weight& w, const Weight& bias,
               Matrix y);

/// ShapeError or UsageError where terms do not fit a map whose input is on `device` and has so many rows. A magnitude
/// rescales the map's own output, so no two may meet in a token.
void check_terms(std::string_view op, const DevicePtr& device, std::int64_t rows, const LoraMap& map);

/// Whether one of the formed terms needs a gradient.
bool needs_grad(const LoraMap& map, const std::vector<FormedTerm>& formed);

}  // namespace loragrad
