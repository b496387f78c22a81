#pragma once
// Threads: one at a time for each device (engine/device.h).
#include <cstdint>
#include <functional>
#include <string>

#include "lora/active_adapters.h"
#include "models/batch.h"
#include "models/key_value_cache.h"

namespace loragrad {

/// All that a forward pass is told. The model itself is only read, so several passes may use it in turn, each with its
/// own adapters.
struct Pass {
  Batch batch;
  ActiveAdapters adapters = {};
  bool record = true;  ///< on the tape, for backward; evaluation keeps nothing
  /// On a processor, a row's values are the same bits whatever rows are beside it and whichever adapters those have; on
  /// a GPU, to rounding. In a pass that is recorded it is said of what adapters add: the model's own products are as fast
  /// as without it, and a row's bits depend on how many tokens there are.
  bool rows_alone = false;
  bool training = false;          ///< the adapters' dropout is on
  std::uint64_t dropout_key = 0;  ///< of the seed and the step
  bool recompute = false;         ///< blocks keep their input alone, and run again in backward (engine/recompute.h)
  KeyValueCache* cache = nullptr;
  /// Shown each linear map's name, input and output, in the order of the pass: for looking into one.
  std::function<void(const std::string& name, const Tensor& x, const Tensor& y)> watch = {};
};

}  // namespace loragrad
