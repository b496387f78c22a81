#pragma once
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace loragrad {

/// The least number of characters to insert, delete, replace or swap with their neighbour that makes b of a (optimal
/// string alignment; Damerau 1964).
std::size_t edit_distance(std::string_view a, std::string_view b);

/// Up to `count` different names, the nearest to `wanted` first; equally near ones in the order given. Names that share
/// too little with `wanted` (more than half of the longer one would change) are left out.
std::vector<std::string> nearest_names(std::string_view wanted, const std::vector<std::string>& names,
                                       std::size_t count = 3);

/// The end of a message: " (nearest: a, b)", or "" when nothing is near.
std::string nearest_text(std::string_view wanted, const std::vector<std::string>& names, std::size_t count = 3);

}  // namespace loragrad
