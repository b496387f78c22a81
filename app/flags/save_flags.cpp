#include "app/flags/save_flags.h"

#include <charconv>

#include "engine/error.h"

namespace loragrad {
namespace {

constexpr std::int64_t most = 1'000'000'000;

/// A number and the letter behind it, if any.
struct Period {
  std::int64_t count = 0;
  char unit = 0;
};

std::optional<Period> period_of(const std::string& text) {
  Period period;
  const char* last = text.data() + text.size();
  auto [end, error] = std::from_chars(text.data(), last, period.count);
  if (error != std::errc() || period.count < 1 || period.count > most || last - end > 1) return std::nullopt;
  if (end != last) period.unit = *end;
  if (end != last && std::string("smh").find(*end) == std::string::npos) return std::nullopt;
  return period;
}

}  // namespace

void SaveFlags::add(Flags& flags) {
  flags.word(
      "save-every", every, "N|TIME", [](const std::string& text) { return period_of(text).has_value(); },
      "a number of steps, or a time such as 90s, 10m or 2h",
      "steps, or time, between checkpoints in OUTPUT/checkpoints (default: none but where a signal ends the run)");
  flags.integer("keep", keep, 1, most, "checkpoints that stay, the newest; two at least do");
  flags.toggle("resume", resume, "go on from the newest checkpoint of --output; without one, begin anew");
  flags.toggle("force-resume", force_resume, "with --resume: where options, data or base differ too");
}

void SaveFlags::check() const {
  if (force_resume && !resume) throw UsageError("--force-resume: expected --resume beside it, found none");
}

std::optional<std::int64_t> SaveFlags::every_steps() const {
  std::optional<Period> period = period_of(every);
  return period && period->unit == 0 ? std::optional(period->count) : std::nullopt;
}

std::optional<double> SaveFlags::every_seconds() const {
  std::optional<Period> period = period_of(every);
  if (!period || period->unit == 0) return std::nullopt;
  return static_cast<double>(period->count) * (period->unit == 's' ? 1 : period->unit == 'm' ? 60 : 3600);
}

}  // namespace loragrad
