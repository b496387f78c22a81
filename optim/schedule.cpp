#include "optim/schedule.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>

namespace loragrad {

namespace {
constexpr std::array<std::string_view, 3> names{"constant", "linear", "cosine"};  // by ScheduleKind
}  // namespace

std::optional<ScheduleKind> schedule_named(std::string_view name) {
  auto found = std::find(names.begin(), names.end(), name);
  if (found == names.end()) return std::nullopt;
  return static_cast<ScheduleKind>(found - names.begin());
}

std::string_view name_of(ScheduleKind kind) { return names.at(static_cast<std::size_t>(kind)); }

double schedule_factor(ScheduleKind kind, std::int64_t t, std::int64_t warmup, std::int64_t total) {
  if (t < warmup) return static_cast<double>(t) / static_cast<double>(warmup);
  if (kind == ScheduleKind::constant) return 1;
  // A warm-up as long as the run leaves nothing to decay over.
  auto span = static_cast<double>(std::max<std::int64_t>(1, total - warmup));
  if (kind == ScheduleKind::linear) return std::max(0.0, static_cast<double>(total - t) / span);
  return std::max(0.0, 0.5 * (1 + std::cos(std::numbers::pi * static_cast<double>(t - warmup) / span)));
}

double highest_schedule_factor(std::int64_t warmup, std::int64_t total) {
  return warmup < total ? 1 : static_cast<double>(total - 1) / static_cast<double>(warmup);
}

}  // namespace loragrad
