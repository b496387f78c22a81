#include "models/key_value_cache.h"

#include <limits>
#include <string>

#include "engine/error.h"

namespace loragrad {

KeyValueCache::KeyValueCache(const DevicePtr& device, std::int64_t layers, std::int64_t width, DType dtype,
                             std::int64_t places, std::int64_t capacity)
    : capacity_(capacity) {
  // Kernels count keys in 32 bits.
  std::int64_t most = std::numeric_limits<std::int32_t>::max();
  if (places < 1 || capacity < 1 || places > most / capacity)
    throw UsageError("cache: expected one to " + std::to_string(most) + " tokens, found " + std::to_string(places) +
                     " places for " + std::to_string(capacity));
  lengths_.resize(static_cast<std::size_t>(places));
  for (std::int64_t i = 0; i < layers; ++i)
    for (auto* list : {&keys_, &values_}) list->push_back(Tensor::empty(device, {places * capacity, width}, dtype));
}

void KeyValueCache::advance(std::int64_t place, std::int64_t tokens) {
  std::int64_t& length = lengths_.at(static_cast<std::size_t>(place));
  if (length + tokens > capacity_)
    throw UsageError("cache: a place holds " + std::to_string(capacity_) + " tokens, found " +
                     std::to_string(length + tokens));
  length += tokens;
}

void KeyValueCache::put(std::size_t layer, const Tensor& k, const Tensor& v, const Tensor& rows) {
  auto copy = [&](const Tensor& from, Tensor& to) {
    Device& device = *from.device();
    device.kernels().put_rows(device,
                              {.x = from.matrix(), .rows = rows.data<std::int32_t>(), .y = to.mutable_matrix()});
  };
  copy(k, keys_.at(layer));
  copy(v, values_.at(layer));
}

}  // namespace loragrad
