// A training step: what it takes, its parts, and how near it comes to its matrix products alone, in one process.
#include <cstdio>

#include "bench/step_text.h"
#include "engine/error.h"

int main(int argc, char** argv) try {
  using namespace loragrad::bench;
  auto options = StepOptions::parse(argc, argv);
  if (!options) return std::fputs(step_usage, stderr), 2;
  StepRun run(*options);
  run.run();
  std::fputs(step_text(run).c_str(), stdout);
} catch (const loragrad::Error& error) {
  return std::fprintf(stderr, "error: %s\n", error.what()), static_cast<int>(error.kind());
}
