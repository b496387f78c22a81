#include "optim/schedule.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <vector>

using namespace loragrad;

namespace {

void check(ScheduleKind kind, std::int64_t warmup, const std::vector<double>& expected) {
  for (std::size_t t = 0; t < expected.size(); ++t) {
    CAPTURE(t);
    CHECK(schedule_factor(kind, static_cast<std::int64_t>(t), warmup, 10) ==
          doctest::Approx(expected[t]).epsilon(1e-14));
  }
}

}  // namespace

// Expected values from tests/optim/make_golden.py (transformers 5.23), 10 steps in all.
TEST_CASE("schedules are transformers'") {
  check(ScheduleKind::constant, 0, {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1});
  check(ScheduleKind::constant, 3, {0, 0.3333333333333333, 0.6666666666666666, 1, 1, 1, 1, 1, 1, 1, 1, 1});
  check(ScheduleKind::linear, 0, {1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1, 0.0, 0.0});
  check(ScheduleKind::linear, 3,
        {0.0, 0.3333333333333333, 0.6666666666666666, 1.0, 0.8571428571428571, 0.7142857142857143, 0.5714285714285714,
         0.42857142857142855, 0.2857142857142857, 0.14285714285714285, 0.0, 0.0});
  check(ScheduleKind::linear, 10, {0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.0, 0.0});
  check(ScheduleKind::cosine, 0,
        {1.0, 0.9755282581475768, 0.9045084971874737, 0.7938926261462366, 0.6545084971874737, 0.5, 0.34549150281252633,
         0.2061073738537635, 0.09549150281252633, 0.024471741852423234, 0.0, 0.024471741852423234});
  check(ScheduleKind::cosine, 3,
        {0.0, 0.3333333333333333, 0.6666666666666666, 1.0, 0.9504844339512095, 0.8117449009293668, 0.6112604669781572,
         0.38873953302184283, 0.18825509907063326, 0.04951556604879048, 0.0, 0.04951556604879043});
}

TEST_CASE("the highest factor is the largest of the run's steps") {
  for (ScheduleKind kind : {ScheduleKind::constant, ScheduleKind::linear, ScheduleKind::cosine})
    for (std::int64_t total = 1; total < 6; ++total)
      for (std::int64_t warmup = 0; warmup < 8; ++warmup) {
        double highest = 0;
        for (std::int64_t t = 0; t < total; ++t) highest = std::max(highest, schedule_factor(kind, t, warmup, total));
        CAPTURE(total);
        CAPTURE(warmup);
        CHECK(highest_schedule_factor(warmup, total) == highest);
      }
}

TEST_CASE("schedules by name") {
  CHECK(schedule_named("linear") == ScheduleKind::linear);
  CHECK(schedule_named("constant") == ScheduleKind::constant);
  CHECK(schedule_named("cosine") == ScheduleKind::cosine);
  CHECK_FALSE(schedule_named("Linear"));
}
