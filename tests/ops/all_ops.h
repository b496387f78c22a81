#pragma once
#include <string>
#include <vector>

#include "tests/ops/sample.h"

namespace loragrad {

struct OpSamples {
  std::string op;
  std::vector<Sample> samples;
};

/// Every op with its samples; written by list_ops.py from the headers.
std::vector<OpSamples> all_ops();

}  // namespace loragrad
