#include "models/batch.h"

#include <string>
#include <utility>

#include "engine/error.h"

namespace loragrad {

Batch make_batch(const DevicePtr& device, const std::vector<BatchRow>& rows, std::int64_t vocab_size,
                 std::int64_t max_positions) {
  std::vector<std::int32_t> ids, positions, targets, dropout_tokens;
  std::vector<std::int64_t> queries{0}, keys{0};
  Batch batch;
  for (std::size_t r = 0; r < rows.size(); ++r) {
    const BatchRow& row = rows[r];
    auto n = static_cast<std::int64_t>(row.ids.size());
    if (max_positions > 0 && row.first_position + n > max_positions)
      throw InputError("row " + std::to_string(r) + ": " + std::to_string(row.first_position + n) +
                       " tokens are more than the model's " + std::to_string(max_positions) + " positions");
    for (std::int64_t t = 0; t < n; ++t) {
      std::int32_t id = row.ids[static_cast<std::size_t>(t)];
      if (id < 0 || id >= vocab_size)
        throw InputError("row " + std::to_string(r) + ": token id " + std::to_string(id) +
                         " is outside the vocabulary of " + std::to_string(vocab_size));
      auto position = static_cast<std::int32_t>(row.first_position + t);
      ids.push_back(id);
      positions.push_back(position);
      dropout_tokens.push_back(row.row_in_step);
      dropout_tokens.push_back(position);
      std::int32_t label =
          t + 1 < static_cast<std::int64_t>(row.labels.size()) ? row.labels[static_cast<std::size_t>(t + 1)] : -1;
      if (label >= vocab_size)
        throw InputError("row " + std::to_string(r) + ": label " + std::to_string(label) +
                         " is outside the vocabulary of " + std::to_string(vocab_size));
      targets.push_back(label);
    }
    queries.push_back(static_cast<std::int64_t>(ids.size()));
    // With a cache the row's keys begin before its first query.
    keys.push_back(keys.back() + row.first_position + n);
  }
  batch.tokens = static_cast<std::int64_t>(ids.size());
  batch.ids = Tensor::from(device, {batch.tokens, 1}, std::move(ids));
  batch.positions = Tensor::from(device, {batch.tokens, 1}, std::move(positions));
  batch.targets = make_targets(device, targets);
  batch.supervised = batch.targets.count();
  batch.dropout_tokens = Tensor::from(device, {batch.tokens, 2}, std::move(dropout_tokens));
  batch.offsets = make_row_offsets(device, std::move(queries), std::move(keys));
  return batch;
}

}  // namespace loragrad
