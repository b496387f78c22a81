#include "train/metrics.h"

#include <limits>

#include "io/json.h"
#include "tests/train/support.h"

using namespace loragrad;
using namespace loragrad::test;

namespace {

StepReport sample() {
  return {.step = 3,
          .loss = 1.5,
          .lr = 2e-4,
          .grad_norm = 0.25,
          .tokens = 40,
          .supervised_tokens = 30,
          .seconds = 0.5,
          .tokens_per_s = 80,
          .peak_bytes = 1048576,
          .updated = true};
}

}  // namespace

TEST_CASE("a metrics row") {
  CHECK(
      metrics_row(sample()) ==
      R"({"step": 3, "loss": 1.5, "lr": 0.0002, "grad_norm": 0.25, "tokens": 40, "supervised_tokens": 30, "seconds": 0.5, "tokens_per_s": 80.0, "peak_bytes": 1048576})");
  StepReport skipped = sample();
  skipped.updated = false;
  skipped.tokens_per_s = std::numeric_limits<double>::quiet_NaN();
  CHECK(contains(metrics_row(skipped), R"("loss": null)"));
  CHECK(contains(metrics_row(skipped), R"("tokens_per_s": null)"));
}

TEST_CASE("metrics are there line by line") {
  TempFolder folder;
  put(folder / "metrics.jsonl", "old\n");
  MetricsWriter writer(folder / "metrics.jsonl");
  CHECK(get(folder / "metrics.jsonl").empty());
  writer.write(sample());
  std::string row = metrics_row(sample()) + "\n";
  CHECK(get(folder / "metrics.jsonl") == row);
  writer.write(sample());
  writer.close();
  CHECK(get(folder / "metrics.jsonl") == row + row);
}

TEST_CASE("metrics that cannot be written") {
  TempFolder folder;
  CHECK(contains(message_of<IoError>([&] { MetricsWriter(folder / "no/metrics.jsonl"); }),
                 "no/metrics.jsonl: cannot write"));
  MetricsWriter full("/dev/full");
  CHECK(contains(message_of<IoError>([&] { full.write(sample()); }), "/dev/full: cannot write"));
}
