#pragma once
// Threads: values and functions of their arguments alone; any thread may use them.
#include <vector>

#include "lora/config.h"

namespace loragrad {

class LoraVariant;
struct LinearShape;

// The variants that there are (lora/variant.h), each in a file of its name. tests/list_checks.py reads this list.

/// A and B: Hu et al. 2021.
const LoraVariant& plain_lora();
/// A, B and a bias of B: PEFT's lora_bias.
const LoraVariant& lora_bias();

/// A, B and the length of each row of W + s B A: Liu et al. 2024, DoRA.
const LoraVariant& dora();

/// A and B of an embedding: A's columns are looked up.
const LoraVariant& embedding_lora();
/// The same, and the length of each column of E + s (B A)ᵀ.
const LoraVariant& embedding_dora();

/// The one that a configuration asks for: of linear maps, or of one module. UsageError where there is none.
const LoraVariant& variant_of(const LoraConfig& config);
const LoraVariant& variant_of(const LoraConfig& config, const LinearShape& map);
std::vector<const LoraVariant*> all_variants();

}  // namespace loragrad
