#pragma once
#include <doctest/doctest.h>

#include <cstdlib>
#include <filesystem>
#include <string>

/// The folder of real models and reference results beside the project ("" where it is missing: the test says so and
/// skips).
inline std::string shared_folder() {
  const char* given = std::getenv("LORAGRAD_SHARED");
  std::string folder = given ? given : "../shared";
  return std::filesystem::is_directory(folder + "/golden") ? folder : "";
}

#define REQUIRE_SHARED(variable)                                                    \
  std::string variable = shared_folder();                                           \
  if (variable.empty()) {                                                           \
    MESSAGE("SKIPPED: no folder of shared goldens (LORAGRAD_SHARED or ../shared)"); \
    return;                                                                         \
  }
