#include "models/rope/rope_types.h"

#include "models/rope/rope_scaling.h"

namespace loragrad {

std::optional<JsonRef> RopeSource::find(const char* key) const {
  for (const JsonRef& object : objects)
    if (object.json().find(key)) return object.at(key);
  return std::nullopt;
}

JsonRef RopeSource::at(const char* key) const {
  auto found = find(key);
  return found ? *found : objects.front().at(key);
}

double RopeSource::positive_or(const char* key, double otherwise) const {
  auto found = find(key);
  if (!found || found->is_null()) return otherwise;
  double value = found->number(0, 1e30);
  return value > 0 ? value : otherwise;
}

double RopeSource::original_length() const {
  if (!original && only) return original_or;
  std::optional<JsonRef> length = original;
  if (!length) length = find("original_max_position_embeddings");
  return length ? length->number(1, 1e12) : positions;
}

namespace {

Rope read_linear(const RopeSource& source, double theta, std::int64_t dims) {
  Rope rope{rope_frequencies(theta, dims)};
  double factor = source.at("factor").number(1, 1e6);
  for (double& f : rope.frequencies) f /= factor;
  return rope;
}

Rope read_dynamic(const RopeSource& source, double theta, std::int64_t dims) {
  Rope rope{rope_frequencies(theta, dims)};
  double factor = rope.stretch = source.at("factor").number(1, 1e6);
  std::int64_t longest = rope.longest = static_cast<std::int64_t>(source.positions);
  rope.beyond = [=](std::int64_t tokens) { return dynamic_frequencies(theta, dims, factor, longest, tokens); };
  return rope;
}

Rope read_llama3(const RopeSource& source, double theta, std::int64_t dims) {
  Rope rope{rope_frequencies(theta, dims)};
  double factor = source.at("factor").number(1, 1e6);
  double low = source.at("low_freq_factor").number(1e-6, 1e6), high = source.at("high_freq_factor").number(1e-6, 1e6);
  if (high <= low) source.at("high_freq_factor").fail("more than low_freq_factor");
  scale(rope.frequencies, Llama3Scaling{factor, low, high, source.original_length()});
  return rope;
}

/// What cosines and sines are multiplied by: the object's, or what follows from other keys.
double attention_factor_or(const RopeSource& source, double otherwise) {
  auto given = source.find("attention_factor");
  return given && !given->is_null() ? given->number(1e-6, 1e6) : otherwise;
}

Rope read_yarn(const RopeSource& source, double theta, std::int64_t dims) {
  double original = source.original_length();
  JsonRef said = source.at("factor");
  double factor = said.is_null() ? source.positions / original : said.number(1, 1e6);
  auto truncate = source.layers ? std::nullopt : source.find("truncate");
  Rope rope{yarn_frequencies(theta, dims,
                             {.factor = factor,
                              .original = original,
                              .fast = source.positive_or("beta_fast", 32),
                              .slow = source.positive_or("beta_slow", 1),
                              .truncate = !truncate || (!truncate->is_null() && truncate->boolean())})};
  double mscale = source.positive_or("mscale", 0), of_all = source.positive_or("mscale_all_dim", 0);
  bool both = mscale > 0 && of_all > 0;
  rope.factor = attention_factor_or(
      source, both ? yarn_factor(factor, mscale) / yarn_factor(factor, of_all) : yarn_factor(factor));
  return rope;
}

/// A list with a factor for each frequency of `dims` dimensions.
std::vector<double> factors(const JsonRef& list, std::int64_t dims) {
  std::int64_t count = (dims + 1) / 2;
  if (!list.is_array() || static_cast<std::int64_t>(list.size()) != count)
    list.fail("a list of " + std::to_string(count) + " numbers, one for each two dimensions that are rotated" +
              (list.is_array() ? " (this has " + std::to_string(list.size()) + ")" : ""));
  std::vector<double> numbers;
  for (const JsonRef& each : list.elements()) numbers.push_back(each.number(1e-6, 1e12));
  return numbers;
}

Rope read_longrope(const RopeSource& source, double theta, std::int64_t dims) {
  Rope rope{longrope_frequencies(theta, dims, factors(source.at("short_factor"), dims))};
  rope.long_frequencies = longrope_frequencies(theta, dims, factors(source.at("long_factor"), dims));
  double original = source.original_length();
  rope.longest = static_cast<std::int64_t>(original);
  auto said = source.find("factor");
  double factor = said && !said->is_null() ? said->number(1e-6, 1e6) : source.positions / original;
  if (original <= 1 && factor > 1) source.at("factor").fail("at most 1 where the original length is one token");
  rope.factor = attention_factor_or(source, longrope_factor(factor, original));
  return rope;
}

}  // namespace

const std::vector<RopeType>& rope_types() {
  static const std::vector<RopeType> types{
      {"linear", {"factor"}, read_linear},
      {"dynamic", {"factor"}, read_dynamic},
      {"llama3", {"factor", "low_freq_factor", "high_freq_factor", "original_max_position_embeddings"}, read_llama3},
      {"yarn",
       {"factor", "original_max_position_embeddings", "attention_factor", "beta_fast", "beta_slow", "mscale",
        "mscale_all_dim", "truncate"},
       read_yarn},
      {"longrope",
       {"short_factor", "long_factor", "factor", "original_max_position_embeddings", "attention_factor"},
       read_longrope}};
  return types;
}

}  // namespace loragrad
