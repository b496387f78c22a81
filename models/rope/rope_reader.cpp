#include "models/rope/rope_reader.h"

#include <algorithm>
#include <cmath>

#include "models/rope/rope_scaling.h"
#include "models/rope/rope_types.h"

namespace loragrad {
namespace {

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
std::int64_t dimensions(const RopeSource& source, const RopeType* type, ModelConfig& c) {
  auto nested = source.find("partial_rotary_factor"), factor = nested ? nested : source.part_at;
  bool said = factor && (nested || !factor->is_null());
  auto of_head = [&](double part) { return static_cast<std::int64_t>(static_cast<double>(c.head_dim) * part); };
  if (!source.whole) return of_head(factor ? factor->number(0, 1) : source.part);
  if (!said) return c.head_dim;
  if (type) {
    if (of_head(factor->number(0, 1e6)) != c.head_dim)
      factor->fail("1 (a rotation of a part of the head is not supported)");
  } else if (!factor->is_number() || factor->number(-1e30, 1e30) != 1) {
    c.warnings.push_back(factor->where() + ": " + factor->path() +
                         ": has no effect on this family: all of the head is rotated");
  }
  return c.head_dim;
}

/// Null: the default one.
const RopeType* type_named(const JsonRef& at, const RopeSource& source) {
  std::string name = at.string(), known = "default";
  if (source.only && (name == "su" || name == "yarn")) name = source.only;  // older names
  for (const RopeType& type : rope_types()) {
    if (source.only && type.name != std::string(source.only)) continue;
    if (type.name == name) return &type;
    known += ", " + type.name;
  }
  if (name != "default") at.fail("a rope type of: " + known);
  return nullptr;
}

void warn_of_unused(const RopeSource& source, const std::string& name, const RopeType* type, ModelConfig& c) {
  std::vector<std::string> known{"type", "rope_type", "rope_theta", "partial_rotary_factor"};
  if (type) known.insert(known.end(), type->keys.begin(), type->keys.end());
  // transformers looks for it where there is one object for all layers.
  if (source.layers) std::erase(known, "truncate");
  for (const JsonRef& object : source.objects)
    for (const auto& [key, value] : object.members())
      if (std::find(known.begin(), known.end(), key) == known.end())
        c.warnings.push_back(value.where() + ": " + escaped(value.path()) + ": has no effect with rope type " + name);
  if (auto nested = source.find("original_max_position_embeddings");
      nested && type && source.only &&
      !(nested->is_number() && nested->number(-1e30, 1e30) == source.original_length()))
    c.warnings.push_back(nested->where() + ": " + nested->path() + ": has no effect on this family: it is " +
                         std::to_string(static_cast<std::int64_t>(source.original_length())) + " by the top level");
}

Rope rope_of(ConfigReader& read, ModelConfig& c, const RopeSource& source, std::optional<JsonRef> theta_at) {
  // Before the frequencies are made: a size that no model has is not worth its memory.
  if (c.head_dim % 2 || c.head_dim > 65536) {
    if (read.root().find("head_dim")) read.fail("head_dim", c.head_dim, "an even number up to 65536");
    read.fail("hidden_size", c.hidden_size, "num_attention_heads times an even number up to 65536");
  }
  if (auto nested = source.find("rope_theta")) theta_at = nested;
  double theta = theta_at ? theta_at->number(1e-6, 1e30) : source.theta;
  auto type_at = source.find("rope_type");
  if (!type_at) type_at = source.find("type");
  const RopeType* type = type_at ? type_named(*type_at, source) : nullptr;
  std::string name = type ? type->name : "default";
  std::int64_t dims = dimensions(source, type, c);
  bool even = name == "yarn" || source.only;
  if ((name == "dynamic" && dims <= 2) || (name == "yarn" && theta <= 1) || (type && even && dims % 2))
    type_at->fail("another rope type for theta " + std::to_string(theta) + " and " + std::to_string(dims) +
                  " dimensions");
  warn_of_unused(source, name, type, c);
  return type ? type->read(source, theta, dims) : Rope{rope_frequencies(theta, dims)};
}

}  // namespace

Rope read_rope(ConfigReader& read, ModelConfig& c, const RopeKeys& keys) {
  RopeSource source{.objects = rope_object(read),
                    .theta = keys.theta,
                    .whole = !keys.part_key,
                    .part = keys.part,
                    .positions = static_cast<double>(c.max_position_embeddings),
                    .original = read.find("original_max_position_embeddings"),
                    .only = keys.only,
                    .original_or = keys.original};
  source.part_at = read.find(keys.part_key ? keys.part_key : "partial_rotary_factor");
  return rope_of(read, c, source, read.find(keys.theta_key));
}

Rope read_rope_of_layers(ConfigReader& read, ModelConfig& c, const std::vector<JsonRef>& objects, double theta) {
  RopeSource source{.objects = objects,
                    .layers = true,
                    .theta = theta,
                    .part_at = read.find("partial_rotary_factor"),
                    .positions = static_cast<double>(c.max_position_embeddings)};
  return rope_of(read, c, source, std::nullopt);
}

}  // namespace loragrad
