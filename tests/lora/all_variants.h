#pragma once
#include <functional>
#include <string>
#include <vector>

#include "lora/variant.h"
#include "tests/ops/op_case.h"

namespace loragrad {

/// A configuration that asks for a variant; targets are the check's own. alpha is not r.
struct VariantCase {
  std::string name;
  LoraConfig config;
  /// For finite differences: sets what backward takes for a constant, though it depends on what is trained.
  std::function<void(LoraModule&, const Setting&)> hold = {};
};

/// Everything that must hold of an adapter variant, whatever it computes: initial values that change nothing of the
/// base and give what proves a gradient, its forward's finite differences and precision on maps of both layouts (with
/// dropout, weights, and for some tokens alone), the file that PEFT reads, bit for bit and with nothing missing, and
/// that the merged map computes what the map and its module did. The test case "variant NAME" of each variant calls it
/// (tests/list_checks.py).
void check_variant(const LoraVariant& variant, const std::vector<VariantCase>& cases);

}  // namespace loragrad
