#include "models/generate/key_value_cache.h"

#include <limits>
#include <map>
#include <numeric>
#include <string>

#include "engine/error.h"

namespace loragrad {

namespace {

void check_size(std::int64_t places, std::int64_t capacity) {
  // Kernels count keys in 32 bits.
  std::int64_t most = std::numeric_limits<std::int32_t>::max();
  if (places < 1 || capacity < 1 || places > most / capacity)
    throw UsageError("cache: expected one to " + std::to_string(most) + " tokens, found " + std::to_string(places) +
                     " places for " + std::to_string(capacity));
}

/// Row t of `from` becomes row rows[t] of `to`.
void copy_rows(const Tensor& from, const Tensor& rows, Tensor& to) {
  Device& device = *from.device();
  device.kernels().put_rows(device, {.x = from.matrix(), .rows = rows.data<std::int32_t>(), .y = to.mutable_matrix()});
}

}  // namespace

KeyValueCache::KeyValueCache(const DevicePtr& device, std::int64_t layers, std::int64_t width, DType dtype,
                             std::int64_t places, std::int64_t capacity)
    : capacity_(capacity) {
  check_size(places, capacity);
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
  copy_rows(k, rows, keys_.at(layer));
  copy_rows(v, rows, values_.at(layer));
}

void KeyValueCache::keep(std::int64_t place, std::int64_t tokens) {
  std::int64_t& length = lengths_.at(static_cast<std::size_t>(place));
  if (tokens < 0 || tokens > length)
    throw UsageError("cache: expected at most the " + std::to_string(length) +
                     " tokens that are there to keep, found " + std::to_string(tokens));
  length = tokens;
}

void KeyValueCache::grow(std::int64_t capacity) {
  if (capacity <= capacity_) return;
  check_size(places(), capacity);
  std::map<std::int64_t, Tensor> moved;  // by place: where its tokens go
  for (std::int64_t place = 0; place < places(); ++place) {
    if (length(place) == 0) continue;
    std::vector<std::int32_t> to(static_cast<std::size_t>(length(place)));
    std::iota(to.begin(), to.end(), static_cast<std::int32_t>(place * capacity));
    moved[place] = Tensor::from(keys_.front().device(), {length(place), 1}, std::move(to));
  }
  for (auto* list : {&keys_, &values_})
    for (Tensor& old : *list) {
      Tensor larger = Tensor::empty(old.device(), {places() * capacity, old.cols()}, old.dtype());
      for (const auto& [place, rows] : moved) copy_rows(old.rows(first_key(place), length(place)), rows, larger);
      old = std::move(larger);
    }
  capacity_ = capacity;
}

}  // namespace loragrad
