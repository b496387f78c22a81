#pragma once
// Threads: one at a time for each device (engine/device.h).
#include <cstdint>
#include <vector>

#include "engine/tensor.h"

namespace loragrad {

/// Keys and values of the tokens so far, for decoding several rows. Each has a place, room for `capacity` tokens; rows
/// come and go. Made by CausalLm::make_cache; make_batch says where a batch's tokens go (models/batch.h), the model's
/// layers put them there, and at the end of its pass they count as there.
class KeyValueCache {
 public:
  /// Of `layers` layers, whose keys and values are `width` wide. UsageError for fewer than one place or token.
  KeyValueCache(const DevicePtr& device, std::int64_t layers, std::int64_t width, DType dtype, std::int64_t places,
                std::int64_t capacity);

  std::int64_t places() const { return static_cast<std::int64_t>(lengths_.size()); }
  std::int64_t capacity() const { return capacity_; }
  std::int64_t length(std::int64_t place) const { return lengths_.at(static_cast<std::size_t>(place)); }
  /// The row of every layer's tensors at which a place begins.
  std::int64_t first_key(std::int64_t place) const { return place * capacity_; }

  /// `tokens` more are there. UsageError where there is no room for them.
  void advance(std::int64_t place, std::int64_t tokens);
  /// The first `tokens` stay. UsageError where fewer are there.
  void keep(std::int64_t place, std::int64_t tokens);
  /// The place is free for another row.
  void clear(std::int64_t place) { keep(place, 0); }
  /// Makes room for `capacity` tokens in every place, one layer at a time; what is there stays. Nothing where there is
  /// as much. OutOfMemory on the way leaves the cache of no use.
  void grow(std::int64_t capacity);

  /// Copies token t's key and value to row rows[t] (i32, on the device) of a layer's tensors.
  void put(std::size_t layer, const Tensor& k, const Tensor& v, const Tensor& rows);
  /// All places' one behind the other, [places * capacity, width].
  const Tensor& keys(std::size_t layer) const { return keys_.at(layer); }
  const Tensor& values(std::size_t layer) const { return values_.at(layer); }

 private:
  std::vector<Tensor> keys_, values_;  // per layer
  std::vector<std::int64_t> lengths_;  // per place
  std::int64_t capacity_;
};

}  // namespace loragrad
