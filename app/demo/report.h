#pragma once
#include <string>
#include <vector>

#include "io/json.h"

namespace loragrad {

/// One claim that is made for LoRA, and what was found.
struct DemoClaim {
  std::string id;        ///< for programs
  std::string claim;     ///< as a statement that can be wrong
  std::string measured;  ///< in words
  bool holds = false;
  Json::Object values;  ///< the numbers
};

/// A prompt, and what base and adapted model add to it.
struct DemoSample {
  std::string task, prompt, base, adapted;
};

struct DemoReport {
  std::string base;  ///< the model it was measured on, in words
  std::vector<DemoSample> samples;
  std::vector<DemoClaim> claims;
  double seconds = 0;        ///< of the whole demo
  Json::Object setting;      ///< the base and the scale
  std::string text() const;  ///< samples and table, within 100 columns
  Json json() const;
};

/// "12.5%"
std::string percent(double share, int digits = 1);

}  // namespace loragrad
