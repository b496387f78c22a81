#include "models/generate/sampling.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "engine/error.h"

namespace loragrad {

void GenerateOptions::check() const {
  if (max_tokens < 1) throw UsageError("max-tokens: expected an integer >= 1, found " + std::to_string(max_tokens));
  if (!std::isfinite(temperature) || temperature < 0)
    throw UsageError("temperature: expected a number >= 0 (0: greedy), found " + std::to_string(temperature));
  if (!(top_p > 0 && top_p <= 1))
    throw UsageError("top-p: expected a number in (0, 1], found " + std::to_string(top_p));
}

std::int32_t sample(std::vector<double> logits, const GenerateOptions& options, Random& random) {
  auto best = std::max_element(logits.begin(), logits.end());
  double largest = *best, sum = 0;
  if (std::isinf(largest)) return static_cast<std::int32_t>(best - logits.begin());  // it is certain
  for (double& z : logits) sum += z = std::exp((z - largest) / options.temperature);
  auto weight = [&](std::int32_t id) { return logits[static_cast<std::size_t>(id)]; };
  // From the back on, the tokens to draw from: all, or the likeliest that reach top_p. Those are few in most cases, so
  // a heap finds them sooner than sorting does; equal probabilities come in the order of their ids on every machine.
  std::vector<std::int32_t> order(logits.size());
  std::iota(order.begin(), order.end(), 0);
  auto first = order.begin();
  double mass = sum;
  if (options.top_p < 1) {
    auto less = [&](auto a, auto b) { return weight(a) != weight(b) ? weight(a) < weight(b) : a > b; };
    std::make_heap(order.begin(), order.end(), less);
    first = order.end();
    mass = 0;
    while (first != order.begin() && (first == order.end() || mass < options.top_p * sum)) {
      std::pop_heap(order.begin(), first, less);
      mass += weight(*--first);
    }
  }
  double at = random.uniform() * mass;
  for (auto id = order.end(); id != first;)
    if ((at -= weight(*--id)) < 0) return *id;
  return *first;
}

}  // namespace loragrad
