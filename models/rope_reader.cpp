#include "models/rope_reader.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace loragrad {
namespace {

/// The object that decides, or none.
std::optional<JsonRef> rope_object(ConfigReader& read) {
  std::optional<JsonRef> chosen;
  for (const char* key : {"rope_parameters", "rope_scaling"}) {
    auto object = read.find(key);
    if (object && !object->is_null() && !object->members().empty()) chosen = object;
  }
  return chosen;
}

/// A member, null included.
std::optional<JsonRef> member(const std::optional<JsonRef>& object, const char* key) {
  if (!object || !object->json().find(key)) return std::nullopt;
  return object->at(key);
}

/// The default type turns the whole head whatever this says; with the others transformers fails unless it is 1.
void check_partial_rotary_factor(ConfigReader& read, const std::optional<JsonRef>& object, const std::string& type,
                                 ModelConfig& c) {
  auto nested = member(object, "partial_rotary_factor"), factor = read.find("partial_rotary_factor");
  if (nested) factor = nested;
  if (!factor || (factor->is_null() && !nested)) return;
  if (type != "default") {
    auto dims = static_cast<std::int64_t>(static_cast<double>(c.head_dim) * factor->number(0, 1e6));
    if (dims != c.head_dim) factor->fail("1 (a rotation of a part of the head is not supported)");
  } else if (!factor->is_number() || factor->number(-1e30, 1e30) != 1) {
    c.warnings.push_back(factor->where() + ": " + factor->path() +
                         ": has no effect on this family: all of the head is rotated");
  }
}

void warn_of_unused(const JsonRef& object, const std::string& type, ModelConfig& c) {
  std::vector<std::string> known{"type", "rope_type", "rope_theta", "partial_rotary_factor"};
  if (type != "default") known.push_back("factor");
  if (type == "llama3")
    known.insert(known.end(), {"low_freq_factor", "high_freq_factor", "original_max_position_embeddings"});
  for (const auto& [key, value] : object.members())
    if (std::find(known.begin(), known.end(), key) == known.end())
      c.warnings.push_back(value.where() + ": " + escaped(value.path()) + ": has no effect with rope type " + type);
}

/// Waves shorter than the original context keep their frequency, much longer ones are divided, between is between.
void scale_as_llama3(std::vector<double>& frequencies, const JsonRef& object, ConfigReader& read,
                     std::int64_t max_position_embeddings) {
  double factor = object.at("factor").number(1, 1e6);
  double low = object.at("low_freq_factor").number(1e-6, 1e6), high = object.at("high_freq_factor").number(1e-6, 1e6);
  if (high <= low) object.at("high_freq_factor").fail("more than low_freq_factor");
  // At the top level, where Phi-3 has it, it wins over the nested one.
  auto length = read.find("original_max_position_embeddings");
  if (!length) length = member(object, "original_max_position_embeddings");
  double original = length ? length->number(1, 1e12) : static_cast<double>(max_position_embeddings);
  for (double& f : frequencies) {
    double wavelength = 2 * std::numbers::pi / f;
    if (wavelength > original / low) {
      f /= factor;
    } else if (wavelength >= original / high) {
      double t = (original / wavelength - low) / (high - low);
      f = std::fma(t, f, (1 - t) * f / factor);  // the same bits with whatever instructions
    }
  }
}

}  // namespace

std::vector<double> read_rope(ConfigReader& read, ModelConfig& c, double default_theta) {
  // Before the frequencies are made: a size that no model has is not worth its memory.
  if (c.head_dim % 2 || c.head_dim > 65536) {
    if (read.root().find("head_dim")) read.fail("head_dim", c.head_dim, "an even number up to 65536");
    read.fail("hidden_size", c.hidden_size, "num_attention_heads times an even number up to 65536");
  }
  std::optional<JsonRef> object = rope_object(read);
  auto theta_at = read.find("rope_theta");
  if (auto nested = member(object, "rope_theta")) theta_at = nested;
  double theta = theta_at ? theta_at->number(1e-6, 1e30) : default_theta;
  auto type_at = member(object, "rope_type");
  if (!type_at) type_at = member(object, "type");
  std::string type = type_at ? type_at->string() : "default";
  if (type != "default" && type != "linear" && type != "llama3")
    type_at->fail("a rope type of: default, linear, llama3");
  check_partial_rotary_factor(read, object, type, c);
  if (object) warn_of_unused(*object, type, c);

  std::vector<double> frequencies;
  for (std::int64_t i = 0; i < c.head_dim / 2; ++i)
    frequencies.push_back(std::pow(theta, -2.0 * static_cast<double>(i) / static_cast<double>(c.head_dim)));
  if (type == "linear") {
    double factor = object->at("factor").number(1, 1e6);
    for (double& f : frequencies) f /= factor;
  } else if (type == "llama3") {
    scale_as_llama3(frequencies, *object, read, c.max_position_embeddings);
  }
  return frequencies;
}

}  // namespace loragrad
