#pragma once
#include <string>
#include <vector>

#include "models/config_reader.h"

namespace loragrad {

/// The frequencies 1/theta^(2i/D), i < D/2, D = c.head_dim (even), rescaled as the configuration says ("default", "linear",
/// "llama3"). Of the two dialects, a rope_scaling (version 4) that is neither null nor empty replaces rope_parameters
/// (version 5) whole; theta is the chosen object's, else the top level's, else `default_theta`. What is there and
/// counts for nothing is told in c.warnings.
std::vector<double> read_rope(ConfigReader& read, ModelConfig& c, double default_theta);

}  // namespace loragrad
