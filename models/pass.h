#pragma once
// Threads: one at a time for each device (engine/device.h).
#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "engine/modes.h"
#include "lora/active_adapters.h"
#include "models/batch.h"
#include "models/generate/key_value_cache.h"

namespace loragrad {

/// All that a forward pass is told. The model itself is only read, so several passes may use it in turn, each with its
/// own adapters.
struct Pass {
  Batch batch;
  ActiveAdapters adapters = {};
  bool record = true;  ///< on the tape, for backward; evaluation keeps nothing
  /// On a processor, a row's values are the same bits whatever rows are beside it and whichever adapters those have; on
  /// a GPU, to rounding. A pass that is not recorded sees to it anyway for what adapters add, which takes little, and
  /// with this for the model's own products too, which then take longer; one that is recorded, for adapters alone.
  bool rows_alone = false;
  bool training = false;          ///< the adapters' dropout is on
  std::uint64_t dropout_key = 0;  ///< of the seed and the step
  bool recompute = false;         ///< blocks keep their input alone, and run again in backward (engine/recompute.h)
  KeyValueCache* cache = nullptr;
  /// Shown each linear map's name, input and output, in the order of the pass: for looking into one.
  std::function<void(const std::string& name, const Tensor& x, const Tensor& y)> watch = {};
};

/// What a pass that is not recorded needs around its ops.
inline std::optional<Unrecorded> unrecorded(const Pass& pass) {
  return pass.record ? std::nullopt : std::optional<Unrecorded>(std::in_place);
}

}  // namespace loragrad
