#pragma once
#include <cstdint>
#include <vector>

#include "data/dataset.h"

namespace loragrad::bench {

/// Lengths of `rows` rows, mixed evenly between the two, both taken.
std::vector<std::int64_t> row_lengths(std::int64_t rows, std::int64_t shortest, std::int64_t longest);

/// Rows of random tokens, all of them supervised.
Dataset random_rows(const std::vector<std::int64_t>& lengths, std::int64_t vocab);

}  // namespace loragrad::bench
