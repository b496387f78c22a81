#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "io/json.h"
#include "models/rope/rope.h"

namespace loragrad {

/// Where a configuration says a rotation.
struct RopeSource {
  std::vector<JsonRef> objects = {};    ///< the first that has a key says it
  bool layers = false;                  ///< of one type's alone: not the top level
  double theta = 10000;                 ///< where nothing says it
  bool whole = true;                    ///< all of the head is turned
  double part = 1;                      ///< else this part of it, where nothing says it,
  std::optional<JsonRef> part_at = {};  ///< here or in an object
  double positions = 0;                 ///< max_position_embeddings
  /// The top level's original_max_position_embeddings, which wins over the object's.
  std::optional<JsonRef> original = {};
  /// Where not null, the one type but default that there is; the object says no original length then: this.
  const char* only = nullptr;
  double original_or = 0;

  /// A member, null included.
  std::optional<JsonRef> find(const char* key) const;
  JsonRef at(const char* key) const;
  /// A number above 0; `otherwise` where it is absent, null or zero.
  double positive_or(const char* key, double otherwise) const;
  /// The length that the model was trained for before it was rescaled.
  double original_length() const;
};

/// A way to turn heads that is not the plain one.
struct RopeType {
  std::string name;
  std::vector<std::string> keys;  ///< what it reads of its object, beside theta and the part of the head
  Rope (*read)(const RopeSource& source, double theta, std::int64_t dims);
};
/// All of them: the rope_type values of transformers that are computed here, "default" apart.
const std::vector<RopeType>& rope_types();

}  // namespace loragrad
