#include "train/progress.h"

#include "tests/train/support.h"

using namespace loragrad;
using namespace loragrad::test;

namespace {

Progress sample() {
  Progress p;
  p.report.step = 25;
  p.report.loss = 2.34567;
  p.report.lr = 2e-4;
  p.report.tokens_per_s = 812.4;
  p.total_steps = 100;
  p.timed_steps = 25;
  p.seconds = 27.4;
  return p;
}

}  // namespace

TEST_CASE("durations and bytes") {
  CHECK(duration_text(0) == "0s");
  CHECK(duration_text(59.4) == "59s");
  CHECK(duration_text(59.6) == "1m00s");
  CHECK(duration_text(187) == "3m07s");
  CHECK(duration_text(7505) == "2h05m");
  CHECK(duration_text(4 * 86400 + 6 * 3600) == "4d06h");
  CHECK(duration_text(-1) == "0s");
  CHECK(duration_text(0.0 / 0.0) == "0s");
  CHECK(bytes_text(0) == "0 B");
  CHECK(bytes_text(1023) == "1023 B");
  CHECK(bytes_text(1536) == "1.50 KiB");
  CHECK(bytes_text(std::size_t{25} << 20) == "25.0 MiB");
  CHECK(bytes_text(std::size_t{300} << 30) == "300 GiB");
}

TEST_CASE("a line of progress") {
  std::string text = "step 25/100  loss 2.3457  lr 2.00e-04  812 tokens/s  1m22s left";
  CHECK(progress_text(sample()) == text);
  Progress on_gpu = sample();
  on_gpu.report.device_peak_bytes = std::size_t{13} << 28;
  CHECK(contains(progress_text(on_gpu), "812 tokens/s  GPU 3.25 GiB  1m22s left"));
  Progress skipped = sample();
  skipped.report.updated = false;
  CHECK(contains(progress_text(skipped), "loss -  lr 2.00e-04  - tokens/s  1m22s left"));
}

TEST_CASE("steps without a loss say nothing of the time that is left") {
  Progress progress;
  progress.total_steps = 10;
  StepReport report;
  report.step = 1;
  report.updated = false;
  progress.step_ends(report);
  CHECK(contains(progress_text(progress), "- tokens/s  - left"));
  report = {.step = 2, .seconds = 6, .updated = true};
  progress.step_ends(report);
  report = {.step = 3, .seconds = 0.001, .updated = false};
  progress.step_ends(report);
  CHECK(progress.seconds_left() == 6 * 7);
}

TEST_CASE("a bar takes the room that is left") {
  std::string text = progress_text(sample());
  auto width = static_cast<int>(text.size());
  CHECK(bar_text(0.25, text, width + 23) == "[" + std::string(5, '#') + std::string(15, '.') + "] " + text);
  CHECK(bar_text(0.25, text, 1000) == "[" + std::string(10, '#') + std::string(30, '.') + "] " + text);
  CHECK(bar_text(0.25, text, width + 12) == text);
  for (int columns = 0; columns < 120; ++columns)
    CHECK(bar_text(0.25, text, columns).size() <= static_cast<std::size_t>(columns));
  Progress done = sample();
  CHECK(done.share() == 0.25);
  done.report.step = 100;
  CHECK(contains(bar_text(done.share(), text, width + 40), "[####################"));
  CHECK_FALSE(bar_text(1, text, 200).find('.') < bar_text(1, text, 200).find(']'));
  CHECK(Progress().share() == 0);
}
