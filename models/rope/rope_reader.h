#pragma once
#include <string>
#include <vector>

#include "models/config_reader.h"
#include "models/rope/rope.h"

namespace loragrad {

/// What is a family's own in how its configuration says a rotation.
struct RopeKeys {
  double theta = 10000;  ///< where nothing says it
  const char* theta_key = "rope_theta";
  /// Where not null, the rotation is of a part of the head: what the object's partial_rotary_factor says, else this key
  /// at the top level, else `part`.
  const char* part_key = nullptr;
  double part = 1;
  /// Where not null, the one type but default that transformers knows for the family ("su" and "yarn" are older names
  /// of it), whose original length is what the top level says, else `original`: never the object's.
  const char* only = nullptr;
  double original = 0;
};

/// The rotation of heads of c.head_dim (even), rescaled as the configuration says ("default", "linear", "dynamic",
/// "llama3", "yarn", "longrope"). Of the two dialects, a rope_scaling (version 4) that is neither null nor empty replaces
/// rope_parameters (version 5) whole; theta is the chosen object's, else the top level's, else the family's. What is
/// there and counts for nothing is told in c.warnings.
Rope read_rope(ConfigReader& read, ModelConfig& c, const RopeKeys& keys = {});

/// The same of the layers of one type, where each type has its own: `objects` say it, the first that has a key, and
/// nothing at the top level does but a partial_rotary_factor; `theta` where none has it.
Rope read_rope_of_layers(ConfigReader& read, ModelConfig& c, const std::vector<JsonRef>& objects, double theta);

}  // namespace loragrad
