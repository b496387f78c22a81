#include "bench/random_rows.h"

#include "engine/random.h"

namespace loragrad::bench {

std::vector<std::int64_t> row_lengths(std::int64_t rows, std::int64_t shortest, std::int64_t longest) {
  std::vector<std::int64_t> lengths;
  for (std::int64_t i = 0; i < rows; ++i)
    lengths.push_back(rows > 1 ? shortest + (longest - shortest) * i / (rows - 1) : longest);
  return lengths;
}

Dataset random_rows(const std::vector<std::int64_t>& lengths, std::int64_t vocab) {
  Random random(/*seed=*/1, /*stream=*/0);
  Dataset data;
  for (std::int64_t length : lengths) {
    Row row;
    for (std::int64_t t = 0; t < length; ++t)
      row.input_ids.push_back(static_cast<TokenId>(random.below(static_cast<std::uint64_t>(vocab))));
    row.labels = row.input_ids;
    data.tokens += length;
    data.supervised_tokens += supervised_tokens(row);
    data.rows.push_back(row);
  }
  return data;
}

}  // namespace loragrad::bench
