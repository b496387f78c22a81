#pragma once
#include <cstdint>
#include <optional>
#include <string>

#include "app/flags/flags.h"

namespace loragrad {

/// When a run is saved to be gone on with, and whether it goes on, as flags.
struct SaveFlags {
  std::string every;      ///< "100" steps, "90s", "10m" or "2h"; "": when it ends by a signal
  std::int64_t keep = 2;  ///< checkpoints; two at least stay
  bool resume = false, force_resume = false;

  void add(Flags& flags);
  void check() const;
  std::optional<std::int64_t> every_steps() const;
  std::optional<double> every_seconds() const;
};

}  // namespace loragrad
