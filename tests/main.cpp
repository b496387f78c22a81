#define DOCTEST_CONFIG_IMPLEMENT_WITH_MAIN
#include <doctest/doctest.h>

#include <iostream>

namespace {

/// What has been printed is there when a run is cut off.
[[maybe_unused]] const std::ostream& unbuffered = std::cout << std::unitbuf;

}  // namespace
