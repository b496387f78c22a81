#include "lora/merge/merge_values.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "engine/error.h"
#include "engine/random.h"

namespace loragrad {
namespace {

bool draws(CombineMethod method) { return method == CombineMethod::dare_linear || method == CombineMethod::dare_ties; }
bool elects(CombineMethod method) { return method == CombineMethod::ties || method == CombineMethod::dare_ties; }
bool prunes(CombineMethod method) {
  return draws(method) || elects(method) || method == CombineMethod::magnitude_prune;
}

void keep_largest(std::vector<double>& values, double density) {
  auto kept = static_cast<std::ptrdiff_t>(density * static_cast<double>(values.size()));
  std::vector<std::size_t> order(values.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  auto larger = [&](std::size_t x, std::size_t y) {
    double a = std::fabs(values[x]), b = std::fabs(values[y]);
    return a > b || (a == b && x < y);
  };
  std::nth_element(order.begin(), order.begin() + kept, order.end(), larger);
  std::for_each(order.begin() + kept, order.end(), [&](std::size_t at) { values[at] = 0; });
}

}  // namespace

const std::vector<std::string>& combine_methods() {
  static const std::vector<std::string> names{"cat",         "svd",       "linear",         "ties",
                                              "dare_linear", "dare_ties", "magnitude_prune"};
  return names;
}

CombineMethod combine_method_named(const std::string& name) {
  const std::vector<std::string>& names = combine_methods();
  auto found = std::find(names.begin(), names.end(), name);
  if (found == names.end())
    throw UsageError(fmt::format("method: expected {}, found \"{}\"", fmt::join(names, ", "), name));
  return static_cast<CombineMethod>(found - names.begin());
}

void CombineOptions::check() const {
  const std::string& name = combine_methods()[static_cast<std::size_t>(method)];
  if (rank && method != CombineMethod::svd)
    throw UsageError("rank: expected none beside the method " + name + ", whose rank is given, found " +
                     std::to_string(*rank));
  if (rank && *rank < 1) throw UsageError("rank: expected an integer of at least 1, found " + std::to_string(*rank));
  if (density && !prunes(method))
    throw UsageError(
        fmt::format("density: expected none beside the method {}, which prunes nothing, found {}", name, *density));
  if (!density && prunes(method))
    throw UsageError("density: expected the part of the values that " + name + " keeps, found none");
  if (density && !(*density > 0 && *density <= 1))
    throw UsageError(fmt::format("density: expected a number in (0, 1], found {}", *density));
}

void prune_values(const CombineOptions& options, const std::string& name, std::uint64_t adapter,
                  std::vector<double>& values) {
  if (!prunes(options.method) || *options.density >= 1) return;
  double density = *options.density;
  if (!draws(options.method)) return keep_largest(values, density);
  Random random(options.seed, mix(hash_name(name.data(), name.size()), adapter));
  for (double& value : values) value = random.uniform() < density ? value / density : 0;
}

std::vector<double> merged_values(CombineMethod method, const std::vector<WeightedValues>& adapters) {
  std::vector<double> result(adapters.front().values.size());
  for (std::size_t i = 0; i < result.size(); ++i) {
    double sum = 0, weighted = 0;
    for (const WeightedValues& adapter : adapters) sum += adapter.values[i];
    int count = 0;
    for (const WeightedValues& adapter : adapters) {
      double value = adapter.values[i];
      if (elects(method) && (value == 0 || (value > 0) != (sum >= 0))) continue;
      weighted += adapter.weight * value;
      ++count;
    }
    result[i] = elects(method) ? weighted / std::max(count, 1) : weighted;
  }
  return result;
}

}  // namespace loragrad
