#pragma once
// Threads: one at a time for each device (engine/device.h).
#include <functional>
#include <string>
#include <vector>

#include "lora/adapter.h"
#include "models/model.h"

namespace loragrad {

/// A tensor that two checkpoints have with other values, and that the adapter does not carry.
struct LeftTensor {
  std::string name;
  double norm = 0;  ///< of the difference (Frobenius); 0 where there is none to form
  double base = 0;  ///< the norm of the base's
  std::string why;  ///< "no linear map that was chosen", "only in the base", "[20, 4] in the base, [21, 4] here"
};

struct Extraction {
  Adapter adapter;  ///< alpha = rank; the modules that differ, by their names
  /// Of all its modules together: |D| of the differences D, and |D - B A| (Frobenius), which is within 1 % of the least
  /// that an adapter of this rank can have.
  double norm = 0, error = 0;
  std::string worst;             ///< the module whose |D - B A| / |D| is the largest
  double worst_error = 0;        ///< that share
  std::vector<LeftTensor> left;  ///< the largest norm first
  std::string base_hash;         ///< of the base (models/files/base_hash.h)
};

/// What may be chosen: linear maps, and the head.
std::vector<LinearShape> extractable_shapes(const CausalLm& model);

struct ExtractOptions {
  std::int64_t rank = 16;
  TargetModules targets = TargetModules::parse("all-linear");
  /// Called before each module's difference is taken apart, with how many are done and how many there are.
  std::function<void(std::size_t done, std::size_t all)> progress = {};
};

/// The adapter of a rank that is nearest to the difference of a tuned checkpoint and its base: each B A to its module's
/// D = W_tuned - W_base (lora/merge/svd.h, leading_svd), B = U √S and A = √S Vᵀ. `base` is the base folder's model, or its
/// outline on a meta device. The folders may be sharded and of different dtypes; values that are equal but for rounding
/// to the coarser one do not differ. Beside the mapped files it takes the memory of one difference in f64, on `device`,
/// three times. UsageError for targets that match nothing, InputError for folders of different architectures and shapes
/// and where no chosen module differs, NumericError for NaN and Inf.
Extraction extract_adapter(const CausalLm& base, const std::string& base_folder, const std::string& tuned_folder,
                           const DevicePtr& device, const ExtractOptions& options);

}  // namespace loragrad
