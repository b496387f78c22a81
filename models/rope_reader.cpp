#include "models/rope_reader.h"

#include <algorithm>
#include <cmath>

#include "models/rope_scaling.h"

namespace loragrad {
namespace {

constexpr double most = 1e30;

/// Where a rotation is said.
struct Source {
  std::vector<JsonRef> objects;         // the first that has a key says it
  bool layers = false;                  // of one type's alone: not the top level
  double theta = 10000;                 // where nothing says it
  bool whole = true;                    // all of the head is turned
  double part = 1;                      // else this part of it, where nothing says it,
  std::optional<JsonRef> part_at = {};  // here or in an object

  /// A member, null included.
  std::optional<JsonRef> find(const char* key) const {
    for (const JsonRef& object : objects)
      if (object.json().find(key)) return object.at(key);
    return std::nullopt;
  }
  JsonRef at(const char* key) const {
    auto found = find(key);
    return found ? *found : objects.front().at(key);
  }
  /// What is absent, null or zero is the default.
  double positive_or(const char* key, double otherwise) const {
    auto found = find(key);
    if (!found || found->is_null()) return otherwise;
    double value = found->number(0, most);
    return value > 0 ? value : otherwise;
  }
};

/// The object that decides, or none.
std::vector<JsonRef> rope_object(ConfigReader& read) {
  std::optional<JsonRef> chosen;
  for (const char* key : {"rope_parameters", "rope_scaling"}) {
    auto object = read.find(key);
    if (object && !object->is_null() && !object->members().empty()) chosen = object;
  }
  return chosen ? std::vector{*chosen} : std::vector<JsonRef>{};
}

/// How many dimensions of a head are turned. Of families that turn the whole head, the default type does whatever this
/// says; with the others transformers fails unless it is 1.
std::int64_t dimensions(const Source& source, const std::string& type, ModelConfig& c) {
  auto nested = source.find("partial_rotary_factor"), factor = nested ? nested : source.part_at;
  bool said = factor && (nested || !factor->is_null());
  auto of_head = [&](double part) { return static_cast<std::int64_t>(static_cast<double>(c.head_dim) * part); };
  if (!source.whole) return of_head(factor ? factor->number(0, 1) : source.part);
  if (!said) return c.head_dim;
  if (type != "default") {
    if (of_head(factor->number(0, 1e6)) != c.head_dim)
      factor->fail("1 (a rotation of a part of the head is not supported)");
  } else if (!factor->is_number() || factor->number(-most, most) != 1) {
    c.warnings.push_back(factor->where() + ": " + factor->path() +
                         ": has no effect on this family: all of the head is rotated");
  }
  return c.head_dim;
}

void warn_of_unused(const Source& source, const std::string& type, ModelConfig& c) {
  std::vector<std::string> known{"type", "rope_type", "rope_theta", "partial_rotary_factor"};
  if (type != "default") known.push_back("factor");
  if (type == "llama3")
    known.insert(known.end(), {"low_freq_factor", "high_freq_factor", "original_max_position_embeddings"});
  if (type == "yarn")
    known.insert(known.end(), {"original_max_position_embeddings", "attention_factor", "beta_fast", "beta_slow",
                               "mscale", "mscale_all_dim"});
  // transformers looks for it where there is one object for all layers.
  if (type == "yarn" && !source.layers) known.emplace_back("truncate");
  for (const JsonRef& object : source.objects)
    for (const auto& [key, value] : object.members())
      if (std::find(known.begin(), known.end(), key) == known.end())
        c.warnings.push_back(value.where() + ": " + escaped(value.path()) + ": has no effect with rope type " + type);
}

/// The length that the model was trained for before it was rescaled.
double original_length(const Source& source, ConfigReader& read, const ModelConfig& c) {
  // At the top level, where Phi-3 has it, it wins over the nested one.
  auto length = source.layers ? std::nullopt : read.find("original_max_position_embeddings");
  if (!length) length = source.find("original_max_position_embeddings");
  return length ? length->number(1, 1e12) : static_cast<double>(c.max_position_embeddings);
}

void read_llama3(Rope& rope, const Source& source, ConfigReader& read, const ModelConfig& c) {
  double factor = source.at("factor").number(1, 1e6);
  double low = source.at("low_freq_factor").number(1e-6, 1e6), high = source.at("high_freq_factor").number(1e-6, 1e6);
  if (high <= low) source.at("high_freq_factor").fail("more than low_freq_factor");
  scale(rope.frequencies, Llama3Scaling{factor, low, high, original_length(source, read, c)});
}

void read_yarn(Rope& rope, const Source& source, ConfigReader& read, const ModelConfig& c, double theta,
               std::int64_t dims) {
  double original = original_length(source, read, c);
  JsonRef said = source.at("factor");
  double factor = said.is_null() ? static_cast<double>(c.max_position_embeddings) / original : said.number(1, 1e6);
  auto truncate = source.layers ? std::nullopt : source.find("truncate");
  rope.frequencies = yarn_frequencies(theta, dims,
                                      {.factor = factor,
                                       .original = original,
                                       .fast = source.positive_or("beta_fast", 32),
                                       .slow = source.positive_or("beta_slow", 1),
                                       .truncate = !truncate || (!truncate->is_null() && truncate->boolean())});
  double mscale = source.positive_or("mscale", 0), of_all = source.positive_or("mscale_all_dim", 0);
  bool both = mscale > 0 && of_all > 0;
  rope.factor = both ? yarn_factor(factor, mscale) / yarn_factor(factor, of_all) : yarn_factor(factor);
  if (auto given = source.find("attention_factor"); given && !given->is_null()) rope.factor = given->number(1e-6, 1e6);
}

void read_dynamic(Rope& rope, const Source& source, const ModelConfig& c, double theta, std::int64_t dims) {
  double factor = rope.stretch = source.at("factor").number(1, 1e6);
  std::int64_t longest = rope.longest = c.max_position_embeddings;
  rope.beyond = [=](std::int64_t tokens) { return dynamic_frequencies(theta, dims, factor, longest, tokens); };
}

Rope rope_of(ConfigReader& read, ModelConfig& c, const Source& source, std::optional<JsonRef> theta_at) {
  // Before the frequencies are made: a size that no model has is not worth its memory.
  if (c.head_dim % 2 || c.head_dim > 65536) {
    if (read.root().find("head_dim")) read.fail("head_dim", c.head_dim, "an even number up to 65536");
    read.fail("hidden_size", c.hidden_size, "num_attention_heads times an even number up to 65536");
  }
  if (auto nested = source.find("rope_theta")) theta_at = nested;
  double theta = theta_at ? theta_at->number(1e-6, most) : source.theta;
  auto type_at = source.find("rope_type");
  if (!type_at) type_at = source.find("type");
  std::string type = type_at ? type_at->string() : "default";
  if (type != "default" && type != "linear" && type != "dynamic" && type != "llama3" && type != "yarn")
    type_at->fail("a rope type of: default, linear, dynamic, llama3, yarn");
  std::int64_t dims = dimensions(source, type, c);
  if ((type == "dynamic" && dims <= 2) || (type == "yarn" && (dims % 2 || theta <= 1)))
    type_at->fail("another rope type for theta " + std::to_string(theta) + " and " + std::to_string(dims) +
                  " dimensions");
  warn_of_unused(source, type, c);

  Rope rope{rope_frequencies(theta, dims)};
  if (type == "linear") {
    double factor = source.at("factor").number(1, 1e6);
    for (double& f : rope.frequencies) f /= factor;
  } else if (type == "dynamic") {
    read_dynamic(rope, source, c, theta, dims);
  } else if (type == "llama3") {
    read_llama3(rope, source, read, c);
  } else if (type == "yarn") {
    read_yarn(rope, source, read, c, theta, dims);
  }
  return rope;
}

}  // namespace

Rope read_rope(ConfigReader& read, ModelConfig& c, const RopeKeys& keys) {
  Source source{.objects = rope_object(read), .theta = keys.theta, .whole = !keys.part_key, .part = keys.part};
  source.part_at = read.find(keys.part_key ? keys.part_key : "partial_rotary_factor");
  return rope_of(read, c, source, read.find(keys.theta_key));
}

Rope read_rope_of_layers(ConfigReader& read, ModelConfig& c, const std::vector<JsonRef>& objects, double theta) {
  Source source{.objects = objects, .layers = true, .theta = theta, .part_at = read.find("partial_rotary_factor")};
  return rope_of(read, c, source, std::nullopt);
}

}  // namespace loragrad
