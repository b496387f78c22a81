#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "lora/adapter.h"

namespace loragrad {

/// How several adapters become one, each module by itself, of A_i, B_i, s_i and the weight w_i of those that have it:
/// - cat: A the w_i s_i A_i one below the other, B the B_i side by side. The exact sum of w_i s_i B_i A_i.
/// - svd: the matrix of a given rank that is nearest to that sum: B = U S, A = Vᵀ.
/// - linear: A = Σ sign(w_i) sqrt|w_i s_i| A_i, B = Σ sqrt|w_i s_i| B_i, of equal ranks; B A has the products of one's B
///   with another's A in it.
/// - magnitude_prune: linear, of the int(density · n) largest values of each A_i and B_i, by their size.
/// - dare_linear: linear, of values that stay with probability density, divided by it (Yu et al. 2023).
/// - ties, dare_ties: the values that stay as above; those whose sign is that of their sum, over the adapters (0 is +),
///   are averaged with the weights of linear (Yadav et al. 2023).
/// The methods and their names are those of PEFT's add_weighted_adapter.
enum class CombineMethod { cat, svd, linear, ties, dare_linear, dare_ties, magnitude_prune };

/// Their names, in this order.
const std::vector<std::string>& combine_methods();
CombineMethod combine_method_named(const std::string& name);

struct CombineOptions {
  CombineMethod method = CombineMethod::cat;
  std::optional<std::int64_t> rank = {};  ///< svd: of the result; none: the largest of the adapters'
  std::optional<double> density = {};     ///< in (0, 1]; those that prune need it, and no other takes it
  std::uint64_t seed = 0;                 ///< dare: of the values that stay
  /// UsageError for a rank or a density that the method does not take, and for none where it needs one.
  void check() const;
};

struct Combination {
  /// alpha = r, so that s = 1, one rank for all modules (rows and columns of zeros where a module has less), no
  /// patterns. Targets are the adapters' together, dropout the first's.
  Adapter adapter;
  double norm = 0;   ///< svd: |D| of the exact sums D of all modules together (Frobenius)
  double error = 0;  ///< svd: |D - B A|
};

/// One adapter of several, on the device of the first; WeightedAdapter::name counts for nothing. An embedding's factors
/// are combined as a linear map's. InputError for modules of another variant than plain LoRA, of different shapes, where
/// the method needs equal ranks of different ones, and for parts of the base that cannot stay (lora/replaced_parts.h).
Combination combine(const std::vector<WeightedAdapter>& adapters, const CombineOptions& options);

}  // namespace loragrad
