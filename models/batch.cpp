#include "models/batch.h"

#include <string>
#include <utility>

#include "engine/error.h"

namespace loragrad {

namespace {

/// How many tokens a row has in the cache.
std::int64_t cached_tokens(const KeyValueCache& cache, const BatchRow& row) {
  if (row.place < 0 || row.place >= cache.places())
    throw UsageError("cache: expected a place below " + std::to_string(cache.places()) + ", found " +
                     std::to_string(row.place));
  std::int64_t length = cache.length(row.place), all = length + static_cast<std::int64_t>(row.ids.size());
  if (all > cache.capacity())
    throw UsageError("cache: a place holds " + std::to_string(cache.capacity()) + " tokens, found " +
                     std::to_string(all));
  return length;
}

}  // namespace

Batch make_batch(const DevicePtr& device, const std::vector<BatchRow>& rows, std::int64_t vocab_size,
                 std::int64_t max_positions, const KeyValueCache* cache) {
  std::vector<std::int32_t> ids, positions, targets, dropout_tokens, cache_rows;
  std::vector<RowSpan> spans;
  Batch batch;
  for (std::size_t r = 0; r < rows.size(); ++r) {
    const BatchRow& row = rows[r];
    auto n = static_cast<std::int64_t>(row.ids.size());
    std::int64_t before = cache ? cached_tokens(*cache, row) : 0;
    if (max_positions > 0 && before + n > max_positions)
      throw InputError("row " + std::to_string(r) + ": " + std::to_string(before + n) +
                       " tokens are more than the model's " + std::to_string(max_positions) + " positions");
    auto token = static_cast<std::int32_t>(ids.size());
    std::int64_t key = cache ? cache->first_key(row.place) : token;
    spans.push_back(
        {token, static_cast<std::int32_t>(n), static_cast<std::int32_t>(key), static_cast<std::int32_t>(before + n)});
    if (cache) batch.places.push_back(row.place);
    for (std::int64_t t = 0; t < n; ++t) {
      std::int32_t id = row.ids[static_cast<std::size_t>(t)];
      if (id < 0 || id >= vocab_size)
        throw InputError("row " + std::to_string(r) + ": token id " + std::to_string(id) +
                         " is outside the vocabulary of " + std::to_string(vocab_size));
      auto position = static_cast<std::int32_t>(before + t);
      ids.push_back(id);
      positions.push_back(position);
      if (cache) cache_rows.push_back(static_cast<std::int32_t>(key + position));
      dropout_tokens.push_back(row.row_in_step);
      dropout_tokens.push_back(position);
      std::int32_t label =
          t + 1 < static_cast<std::int64_t>(row.labels.size()) ? row.labels[static_cast<std::size_t>(t + 1)] : -1;
      if (label >= vocab_size)
        throw InputError("row " + std::to_string(r) + ": label " + std::to_string(label) +
                         " is outside the vocabulary of " + std::to_string(vocab_size));
      targets.push_back(label);
    }
  }
  batch.tokens = static_cast<std::int64_t>(ids.size());
  batch.ids_on_host = ids;
  batch.ids = Tensor::from(device, {batch.tokens, 1}, std::move(ids));
  batch.positions = Tensor::from(device, {batch.tokens, 1}, std::move(positions));
  batch.targets = make_targets(device, targets);
  batch.supervised = batch.targets.count();
  batch.dropout_tokens = Tensor::from(device, {batch.tokens, 2}, std::move(dropout_tokens));
  batch.spans = make_row_spans(device, std::move(spans));
  if (cache) batch.cache_rows = Tensor::from(device, {batch.tokens, 1}, std::move(cache_rows));
  return batch;
}

}  // namespace loragrad
