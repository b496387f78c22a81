#pragma once
#include <string>

#include "io/json.h"
#include "train/forecast.h"
#include "train/time_profile.h"

namespace loragrad {

/// Tables of --profile memory and --profile time, without the last line's end; and the same numbers for programs.
std::string memory_profile_text(const Forecast& forecast);
Json memory_profile_json(const Forecast& forecast);
std::string time_profile_text(const TimeProfile::Report& report);
Json time_profile_json(const TimeProfile::Report& report);

}  // namespace loragrad
