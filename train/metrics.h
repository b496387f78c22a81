#pragma once
#include <string>

#include "train/trainer.h"

namespace loragrad {

/// A report as a row of metrics.jsonl, one line without its end: {"step", "loss", "lr", "grad_norm", "tokens",
/// "supervised_tokens", "seconds", "tokens_per_s", "peak_bytes"}. A number that is not finite is null; a step without
/// supervised tokens has "loss": null and "tokens_per_s": null.
std::string metrics_row(const StepReport& report);

/// A metrics.jsonl that grows by one line a step, each handed to the system at once, so that it can be watched. Errors
/// are IoError.
class MetricsWriter {
 public:
  /// Empties an existing file.
  explicit MetricsWriter(std::string path);
  MetricsWriter(const MetricsWriter&) = delete;
  MetricsWriter& operator=(const MetricsWriter&) = delete;
  ~MetricsWriter();
  void write(const StepReport& report);
  /// Makes it durable; nothing may be written afterwards. Without it the destructor closes what there is.
  void close();
  const std::string& path() const { return path_; }

 private:
  std::string path_;
  int fd_ = -1;
};

}  // namespace loragrad
