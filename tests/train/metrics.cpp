#include "train/metrics.h"

#include <sys/resource.h>

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
  StepReport on_gpu = sample();
  on_gpu.device_peak_bytes = std::size_t{5} << 30;
  CHECK(metrics_row(on_gpu).ends_with(R"("peak_bytes": 1048576, "device_peak_bytes": 5368709120})"));
  CHECK(is_metrics(metrics_row(on_gpu) + "\n"));
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

TEST_CASE("metrics of a run that goes on are cut back to its step") {
  TempFolder folder;
  auto row = [](std::int64_t step) {
    StepReport report = sample();
    report.step = step;
    return report;
  };
  auto line = [&](std::int64_t step) { return metrics_row(row(step)) + "\n"; };
  auto after = [&](const std::string& before) {
    put(folder / "m", before);
    MetricsWriter writer(folder / "m", 2);
    writer.write(row(3));
    writer.close();
    return get(folder / "m");
  };
  std::string wanted = line(1) + line(2) + line(3);
  CHECK(after(line(1) + line(2)) == wanted);
  CHECK(after(line(1) + line(2) + line(3) + line(4)) == wanted);
  CHECK(after(line(1) + line(2) + line(3).substr(0, 20)) == wanted);
  CHECK(after(line(1) + line(2).substr(0, 20)) == line(1) + line(3));
  CHECK(after("") == line(3));
  CHECK(after(line(1) + "notes\n" + line(2)) == line(1) + line(3));
}

TEST_CASE("metrics that cannot be written") {
  TempFolder folder;
  CHECK(contains(message_of<IoError>([&] { MetricsWriter(folder / "no/metrics.jsonl"); }),
                 "no/metrics.jsonl: cannot write"));
  MetricsWriter full("/dev/full");
  CHECK(contains(message_of<IoError>([&] { full.write(sample()); }), "/dev/full: cannot write"));
}

TEST_CASE("metrics are known by their rows") {
  std::string row = metrics_row(sample()) + "\n";
  StepReport skipped = sample();
  skipped.updated = false;
  for (const std::string& text : {std::string(), row, row + row, metrics_row(skipped) + "\n" + row,
                                  row + row.substr(0, 30), row + "{", metrics_row(sample())})
    CHECK(is_metrics(text));
  for (const std::string& text : {std::string("\n"), std::string("{}"), std::string(R"({"step": 1, "text": "a row"})"),
                                  row + "notes\n", "notes\n" + row, row + "\n" + row, row.substr(0, 40),
                                  row +
                                      R"({"text": "a row"})"
                                      "\n" +
                                      row,
                                  std::string("{\"step\": ")})
    CHECK_FALSE(is_metrics(text));
}

TEST_CASE("a row that does not fit is taken back") {
  TempFolder folder;
  MetricsWriter writer(folder / "m");
  writer.write(sample());
  std::string row = get(folder / "m");
  rlimit before{};
  ::getrlimit(RLIMIT_FSIZE, &before);
  rlimit limit = before;
  limit.rlim_cur = row.size() + 7;
  REQUIRE(::setrlimit(RLIMIT_FSIZE, &limit) == 0);
  std::string message = message_of<IoError>([&] { writer.write(sample()); });
  ::setrlimit(RLIMIT_FSIZE, &before);
  CHECK(message == (folder / "m") + ": cannot write: File too large");
  CHECK(get(folder / "m") == row);
}
