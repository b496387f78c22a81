#include "models/generate.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <string>

#include "engine/error.h"
#include "engine/random.h"

namespace loragrad {
namespace {

std::vector<double> next_logits(const CausalLm& model, const ActiveAdapters& adapters,
                                std::span<const std::int32_t> ids, KeyValueCache& cache) {
  BatchRow row{.ids = ids, .labels = {}, .first_position = static_cast<std::int32_t>(cache.length)};
  Batch batch = make_batch(model.device(), {row}, model.config().vocab_size, model.config().max_position_embeddings);
  Tensor hidden = model.hidden({.batch = batch, .adapters = adapters, .record = false, .cache = &cache});
  cache.length += batch.tokens;
  Tensor z = model.logits(hidden.rows(hidden.rows() - 1, 1));
  if (z.dtype() == DType::f64) return z.values<double>();
  std::vector<float> values = z.values<float>();
  return {values.begin(), values.end()};
}

std::int32_t draw(std::vector<double> logits, const GenerateOptions& options, Random& random) {
  auto best = std::max_element(logits.begin(), logits.end());
  if (options.temperature == 0) return static_cast<std::int32_t>(best - logits.begin());
  double largest = *best, sum = 0;
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

}  // namespace

void GenerateOptions::check() const {
  if (max_tokens < 1) throw UsageError("max-tokens: expected an integer >= 1, found " + std::to_string(max_tokens));
  if (!std::isfinite(temperature) || temperature < 0)
    throw UsageError("temperature: expected a number >= 0 (0: greedy), found " + std::to_string(temperature));
  if (!(top_p > 0 && top_p <= 1))
    throw UsageError("top-p: expected a number in (0, 1], found " + std::to_string(top_p));
}

std::vector<std::int32_t> generate(const CausalLm& model, std::span<const std::int32_t> prompt,
                                   const GenerateOptions& options, const std::function<bool(std::int32_t)>& on_token) {
  options.check();
  if (prompt.empty()) throw InputError("prompt: expected at least one token, found none");
  const ModelConfig& config = model.config();
  auto used = static_cast<std::int64_t>(prompt.size());
  std::int64_t room = config.max_position_embeddings - used;
  if (room < 1)
    throw InputError("prompt: expected fewer tokens than the model's " +
                     std::to_string(config.max_position_embeddings) + " positions, found " + std::to_string(used));
  std::int64_t wanted = std::min(options.max_tokens, room);
  KeyValueCache cache = model.make_cache(used + wanted);
  Random random(options.seed, 0);
  const std::vector<std::int32_t>& ends = options.end_tokens.empty() ? config.eos_token_ids : options.end_tokens;
  std::vector<std::int32_t> tokens;
  std::span<const std::int32_t> input = prompt;
  while (static_cast<std::int64_t>(tokens.size()) < wanted) {
    std::vector<double> logits = next_logits(model, options.adapters, input, cache);
    if (std::any_of(logits.begin(), logits.end(), [](double z) { return std::isnan(z); }))
      throw NumericError("generate: the logits of token " + std::to_string(tokens.size()) + " are not numbers (NaN)");
    tokens.push_back(draw(std::move(logits), options, random));
    input = {&tokens.back(), 1};
    if (on_token && !on_token(tokens.back())) break;
    if (std::find(ends.begin(), ends.end(), tokens.back()) != ends.end()) break;
  }
  return tokens;
}

}  // namespace loragrad
