#pragma once
// Threads: values and functions of their arguments alone; any thread may use them.
#include <cstdint>
#include <optional>
#include <string_view>

namespace loragrad {

enum class ScheduleKind { constant, linear, cosine };
std::optional<ScheduleKind> schedule_named(std::string_view name);
std::string_view name_of(ScheduleKind kind);

/// The factor on the learning rate at step t = 0, 1, ..., as transformers' get_*_schedule_with_warmup: t/W below the
/// warm-up W, then constant: 1;  linear: (N-t)/(N-W);  cosine: (1 + cos(pi (t-W)/(N-W))) / 2.  Never negative.
double schedule_factor(ScheduleKind kind, std::int64_t t, std::int64_t warmup, std::int64_t total);

/// The largest factor of steps 0 .. total-1, of any kind: 1, or (N-1)/W where the warm-up is as long as the run or
/// longer (0 for a run of one step).
double highest_schedule_factor(std::int64_t warmup, std::int64_t total);

}  // namespace loragrad
