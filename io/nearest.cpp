#include "io/nearest.h"

#include <algorithm>
#include <unordered_set>
#include <utility>

namespace loragrad {
namespace {

/// What is longer is no name that a person has mistyped.
constexpr std::size_t longest_name = 500;

}  // namespace

std::size_t edit_distance(std::string_view a, std::string_view b) {
  // Rows i - 2, i - 1 and i of the table of distances between the first i of a and the first j of b.
  std::vector<std::size_t> before(b.size() + 1), above(b.size() + 1), row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) above[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      row[j] = std::min({above[j] + 1, row[j - 1] + 1, above[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1)});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) row[j] = std::min(row[j], before[j - 2] + 1);
    }
    std::swap(before, above);
    std::swap(above, row);
  }
  return above[b.size()];
}

std::vector<std::string> nearest_names(std::string_view wanted, const std::vector<std::string>& names,
                                       std::size_t count) {
  std::vector<std::pair<std::size_t, std::string>> found;
  std::unordered_set<std::string_view> seen;
  for (const std::string& name : names) {
    std::size_t longer = std::max(wanted.size(), name.size()), shorter = std::min(wanted.size(), name.size());
    // The distance is at least the difference of the lengths; to know it costs their product.
    if (!seen.insert(name).second || 2 * (longer - shorter) > longer || shorter > longest_name) continue;
    std::size_t distance = edit_distance(wanted, name);
    if (2 * distance <= longer) found.emplace_back(distance, name);
  }
  std::stable_sort(found.begin(), found.end(), [](const auto& x, const auto& y) { return x.first < y.first; });
  std::vector<std::string> result;
  for (auto& [distance, name] : found)
    if (result.size() < count) result.push_back(std::move(name));
  return result;
}

std::string nearest_text(std::string_view wanted, const std::vector<std::string>& names, std::size_t count) {
  std::string text;
  for (const std::string& name : nearest_names(wanted, names, count)) text += (text.empty() ? "" : ", ") + name;
  return text.empty() ? "" : " (nearest: " + text + ")";
}

}  // namespace loragrad
