#pragma once
#include <string>
#include <string_view>

#include "train/trainer.h"

namespace loragrad {

/// A report as a row of metrics.jsonl, one line without its end: {"step", "loss", "lr", "grad_norm", "tokens",
/// "supervised_tokens", "seconds", "tokens_per_s", "peak_bytes"}, and on a device with memory of its own
/// "device_peak_bytes". A number that is not finite is null; a step without supervised tokens has "loss": null and
/// "tokens_per_s": null.
std::string metrics_row(const StepReport& report);

/// Whether a file of this text is metrics that a run wrote: its first row has the keys of metrics_row, and every line
/// begins as rows do (the last may be cut short). An empty file counts too.
bool is_metrics(std::string_view text);

/// A metrics.jsonl that grows by one line a step, each handed to the system at once, so that it can be watched. Errors
/// are IoError.
class MetricsWriter {
 public:
  /// Of an existing file the rows up to the step `after` stay, all before the first that cannot be read; unless another
  /// writer has it.
  explicit MetricsWriter(std::string path, std::int64_t after = 0);
  MetricsWriter(const MetricsWriter&) = delete;
  MetricsWriter& operator=(const MetricsWriter&) = delete;
  ~MetricsWriter();
  /// A line that does not fit whole is taken back where the file allows it.
  void write(const StepReport& report);
  /// Makes it durable; nothing may be written afterwards. Without it the destructor closes what there is.
  void close();
  const std::string& path() const { return path_; }

 private:
  std::string path_;
  int fd_ = -1;
  std::int64_t whole_ = 0;  // bytes of whole lines
};

}  // namespace loragrad
