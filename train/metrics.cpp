#include "train/metrics.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <variant>

#include "engine/error.h"
#include "io/json.h"
#include "io/json_text.h"
#include "io/mapped_file.h"
#include "io/write_all.h"

namespace loragrad {

std::string metrics_row(const StepReport& r) {
  Json row(Json::Object{{"step", r.step},
                        {"loss", r.updated ? Json(r.loss) : Json()},
                        {"lr", r.lr},
                        {"grad_norm", r.grad_norm},
                        {"tokens", r.tokens},
                        {"supervised_tokens", r.supervised_tokens},
                        {"seconds", r.seconds},
                        {"tokens_per_s", r.tokens_per_s},
                        {"peak_bytes", r.peak_bytes}});
  if (r.device_peak_bytes) row.set("device_peak_bytes", *r.device_peak_bytes);
  return result_text(row);
}

bool is_metrics(std::string_view text) {
  if (text.empty()) return true;
  // Whatever the file may be, no more of it is looked at than a row can have.
  std::string_view row = text.substr(0, 1 << 16);
  try {
    const Json first = parse_json(row.substr(0, row.find('\n')), "metrics"), ours = parse_json(metrics_row({}), "");
    for (const auto& [key, value] : std::get<Json::Object>(ours.value()))
      if (!first.find(key)) return false;
  } catch (const Error&) {
    return false;
  }
  constexpr std::string_view beginning = "{\"step\": ";
  for (std::size_t at = 0; at < text.size(); at = std::min(text.find('\n', at), text.size() - 1) + 1)
    if (std::string_view rest = text.substr(at); !rest.starts_with(beginning) && !beginning.starts_with(rest))
      return false;
  return true;
}

namespace {

/// Bytes of the rows up to a step.
std::size_t rows_until(std::string_view text, std::int64_t step) {
  std::size_t kept = 0;
  for (std::size_t end; (end = text.find('\n', kept)) != std::string_view::npos; kept = end + 1) {
    try {
      const Json row = parse_json(text.substr(kept, end - kept), "metrics");
      const Json* found = row.find("step");
      const auto* value = found ? std::get_if<std::int64_t>(&found->value()) : nullptr;
      if (!value || *value > step) break;
    } catch (const Error&) {
      break;
    }
  }
  return kept;
}

}  // namespace

MetricsWriter::MetricsWriter(std::string path, std::int64_t after) : path_(std::move(path)) {
  fd_ = ::open(path_.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
  if (fd_ < 0) throw IoError(system_message(path_, "write", errno));
  struct stat status {};
  bool is_file = ::fstat(fd_, &status) == 0 && S_ISREG(status.st_mode);
  // Before it is emptied: rows of two runs would be written over each other. Some file systems know no locks.
  bool is_taken = is_file && ::flock(fd_, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK;
  if (!is_taken && is_file && after > 0) whole_ = static_cast<std::int64_t>(rows_until(read_file(path_), after));
  if (!is_taken && (!is_file || (::ftruncate(fd_, whole_) == 0 && ::lseek(fd_, whole_, SEEK_SET) == whole_))) return;
  std::string message =
      is_taken ? escaped(path_, 4096) + ": expected a file that no other process writes, found another writing it"
               : system_message(path_, "write", errno);
  ::close(fd_);
  throw IoError(message);
}

MetricsWriter::~MetricsWriter() {
  if (fd_ >= 0) ::close(fd_);
}

void MetricsWriter::write(const StepReport& report) {
  std::string line = metrics_row(report) + "\n";
  if (int error = write_all(fd_, line)) {
    // Best effort: a pipe cannot be cut.
    [[maybe_unused]] int ignored = ::ftruncate(fd_, whole_);
    throw IoError(system_message(path_, "write", error));
  }
  whole_ += static_cast<std::int64_t>(line.size());
}

void MetricsWriter::close() {
  int fd = fd_;
  fd_ = -1;
  // A pipe or a terminal knows no fsync.
  int error = ::fsync(fd) == 0 || errno == EINVAL || errno == EROFS ? 0 : errno;
  if (::close(fd) != 0 && error == 0 && errno != EINTR) error = errno;
  if (error != 0) throw IoError(system_message(path_, "write", error));
}

}  // namespace loragrad
