#pragma once
#include "lora/variant.h"

namespace loragrad {

/// A [r, in] and B [out, r] that training starts from, by config.init_lora_weights; of a start that changes the base
/// also A0 and B0, copies of them: the base is then W - s B0 A0, so that what is computed is still W x.
///
/// standard    A ~ U(-1/sqrt(in), 1/sqrt(in)) (PEFT's kaiming_uniform(sqrt 5)), B = 0
/// gaussian    A ~ N(0, (1/r)²), B = 0
/// orthogonal  Q [r, r] orthogonal, its even and odd rows E and O (r even): A = (N(0, 1)[in, r/2] E)ᵀ / 10,
///             B = N(0, 1)[out, r/2] O / 10, so that B A = 0                                           (PEFT)
/// pissa       W = U S Vᵀ: A0 = sqrt(S_r / s) V_rᵀ, B0 = U_r sqrt(S_r / s)          Meng, Wang & Zhang 2024
/// olora       W = Q R: B0 = Q[:, :r], A0 = R[:r]                                             Büyükakyüz 2024
struct InitialFactors {
  Tensor a, b, a0 = {}, b0 = {};
};
/// Values are drawn and rounded in f32 whatever the dtype, so that a gradient check in f64 starts where training does.
/// UsageError for an odd rank with orthogonal, for a scale that is not positive with pissa, and for a rank above
/// min(in, out) with pissa and olora.
InitialFactors initial_factors(const ModuleSpec& spec, const InitialDraw& draw);

/// Those of an embedding, whatever init_lora_weights says, as in PEFT: A = 0, B ~ N(0, 1).
InitialFactors embedding_factors(const ModuleSpec& spec, const InitialDraw& draw);

}  // namespace loragrad
