#pragma once
#include <string>

#include "tests/ops/op_case.h"

namespace loragrad {

/// Central finite differences in f64 against backward, for every subset of the inputs that may need a gradient and
/// three seeds, under a random cotangent (a plain sum hides errors that cancel, as in softmax). Step 1e-5 max(1, |x|);
/// a gradient passes within 1e-6 |difference| + 1e-8. Inputs outside the subset must get no gradient, and a second
/// backward must add. All checks say what is wrong, or nothing.
std::string gradient_failure(const OpCase& op_case);

/// Value and gradients in `dtype` (f32 or bf16) against the same in f64.
std::string precision_failure(const OpCase& op_case, DType dtype);

/// Value and gradients must have the same bits with one thread and with three.
std::string thread_failure(const OpCase& op_case, DType dtype);

/// The op_case runs on the device that only counts, which must forecast at least the memory that the processor took.
std::string meta_failure(const OpCase& op_case, DType dtype);

/// An operand on another device than the others must be refused, whichever it is.
std::string device_failure(const OpCase& op_case, DType dtype);

}  // namespace loragrad
