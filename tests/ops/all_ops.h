#pragma once
#include <string>
#include <vector>

#include "tests/ops/op_case.h"

namespace loragrad {

/// Everything that must hold of an op's cases: finite differences, f32 and bf16 against f64, operands on two devices
/// refused, the same bits for any number of threads, the meta device's count. The test case "op NAME" of each op calls
/// it (tests/list_checks.py).
void check_op(const std::vector<OpCase>& cases);

}  // namespace loragrad
