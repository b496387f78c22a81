#include "train/metrics.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

#include "engine/error.h"
#include "io/json_text.h"
#include "io/mapped_file.h"

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
  return result_text(row);
}

MetricsWriter::MetricsWriter(std::string path) : path_(std::move(path)) {
  fd_ = ::open(path_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  if (fd_ < 0) throw IoError(system_message(path_, "write", errno));
}

MetricsWriter::~MetricsWriter() {
  if (fd_ >= 0) ::close(fd_);
}

void MetricsWriter::write(const StepReport& report) {
  std::string line = metrics_row(report) + "\n";
  for (std::size_t done = 0; done < line.size();) {
    ssize_t count = ::write(fd_, line.data() + done, line.size() - done);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) throw IoError(system_message(path_, "write", count < 0 ? errno : EIO));
    done += static_cast<std::size_t>(count);
  }
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
