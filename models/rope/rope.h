#pragma once
// Threads: one at a time for each device (engine/device.h).
#include <cstdint>
#include <functional>
#include <vector>

#include "models/batch.h"
#include "models/config.h"

namespace loragrad {

/// How the heads of a layer are turned (ops/rope.h).
struct Rope {
  std::vector<double> frequencies = {};  ///< of the first dimensions of a head; none: nothing is turned
  double factor = 1;                     ///< of cosines and sines
  /// A row of more tokens than `longest` turns by long_frequencies instead, or, where there are none, by
  /// beyond(tokens); 0: no row does.
  std::int64_t longest = 0;
  std::vector<double> long_frequencies = {};
  std::function<std::vector<double>(std::int64_t tokens)> beyond = {};
  double stretch = 1;  ///< how many times max_position_embeddings rows may be long by it
};

/// Adds to the details of `c` what decides of its rotations, and stretches its max_position_embeddings by them.
void add_ropes(ModelConfig& c, const std::vector<Rope>& ropes);

/// A Rope on a device.
class Rotary {
 public:
  Rotary(Rope rope, const DevicePtr& device);
  /// The rotations of the batch's tokens, for all layers that turn by this; undefined where nothing is turned. A row
  /// that is being decoded is as long as it has become: keys that are in the cache stay as they were turned.
  Tensor operator()(const Batch& batch, DType dtype) const;

 private:
  Rope rope_;
  Tensor frequencies_;
};

}  // namespace loragrad
