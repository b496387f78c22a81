#include "train/progress.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

namespace loragrad {

void Progress::step_ends(const StepReport& next) {
  report = next;
  if (!next.updated) return;
  ++timed_steps;
  seconds += next.seconds;
}

double Progress::seconds_left() const {
  if (timed_steps == 0) return 0;
  return seconds / static_cast<double>(timed_steps) * static_cast<double>(total_steps - report.step);
}

double Progress::share() const {
  return total_steps > 0 ? static_cast<double>(report.step) / static_cast<double>(total_steps) : 0;
}

std::string duration_text(double seconds) {
  if (!(seconds >= 0)) seconds = 0;
  // A time that no run lasts, and that an integer can hold.
  auto s = static_cast<std::int64_t>(std::min(std::round(seconds), 1e15));
  if (s < 60) return fmt::format("{}s", s);
  if (s < 3600) return fmt::format("{}m{:02}s", s / 60, s % 60);
  if (s < 86400) return fmt::format("{}h{:02}m", s / 3600, s % 3600 / 60);
  return fmt::format("{}d{:02}h", s / 86400, s % 86400 / 3600);
}

std::string bytes_text(std::size_t bytes) {
  constexpr std::array units{"B", "KiB", "MiB", "GiB", "TiB"};
  auto value = static_cast<double>(bytes);
  std::size_t unit = 0;
  for (; value >= 1024 && unit + 1 < units.size(); ++unit) value /= 1024;
  return fmt::format("{:.{}f} {}", value, unit == 0 ? 0 : value < 10 ? 2 : value < 100 ? 1 : 0, units[unit]);
}

std::string progress_text(const Progress& progress) {
  const StepReport& r = progress.report;
  std::string loss = r.updated ? fmt::format("{:.4f}", r.loss) : "-",
              speed = r.updated ? fmt::format("{:.0f}", r.tokens_per_s) : "-";
  std::string memory = r.device_peak_bytes ? fmt::format("GPU {}  ", bytes_text(*r.device_peak_bytes)) : "";
  return fmt::format("step {}/{}  loss {}  lr {:.2e}  {} tokens/s  {}{} left", r.step, progress.total_steps, loss, r.lr,
                     speed, memory, progress.timed_steps > 0 ? duration_text(progress.seconds_left()) : "-");
}

std::string bar_text(double share, const std::string& text, int width) {
  auto columns = static_cast<std::size_t>(std::max(0, width));
  // A bar of less than ten says nothing; two brackets and a space go with it.
  if (columns < text.size() + 3 + 10) return text.substr(0, columns);
  std::size_t size = std::min<std::size_t>(40, columns - text.size() - 3);
  auto full = static_cast<std::size_t>(std::clamp(share, 0.0, 1.0) * static_cast<double>(size));
  return fmt::format("[{}{}] {}", std::string(full, '#'), std::string(size - full, '.'), text);
}

}  // namespace loragrad
