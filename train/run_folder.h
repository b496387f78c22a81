#pragma once
#include <functional>
#include <string>

#include "io/atomic.h"
#include "lora/adapter.h"
#include "train/earlier_output.h"
#include "train/train_state.h"

namespace loragrad {

/// The folder of a training run. It stands in its place from the first step on, with the run's metrics, checkpoints/ and
/// best/; the adapter's or the model's own files come at the end, adapter_config.json or config.json last: a folder
/// without that is unfinished, and an earlier adapter in it stays whole until then. One process at a time has it.
class RunFolder {
 public:
  /// IoError where `path` is anything but a new or empty folder, unless it is an earlier output of loragrad's
  /// (train/earlier_output.h) and `overwrite` or `resume` say what is to become of it. Found out before the run, as is a
  /// place where nothing can be written.
  RunFolder(const std::string& path, bool overwrite, bool resume);
  RunFolder(const RunFolder&) = delete;
  RunFolder& operator=(const RunFolder&) = delete;
  /// Takes a new folder away again where no run began.
  ~RunFolder();

  const std::string& path() const { return path_; }
  EarlierOutput found() const { return found_; }
  std::string file(const std::string& name) const;
  std::string checkpoints() const { return file(checkpoints_folder); }

  /// The first step has been taken: what an earlier run left goes, but for its output, and what it kept for resuming
  /// where that is what this run does.
  void begin(bool resumes);
  using Evaluation = std::optional<TrainResult::Best>;
  /// The adapter as it is now, and the evaluation that it had, in best/: whole, in place of what was there, or not at
  /// all. Its card is written by whoever knows the whole run.
  void save_best(const Adapter& adapter, const TrainResult::Best& evaluation) const;
  /// Whether best/ has the adapter of this evaluation: after a failure, a crash or a checkpoint of before, it may have
  /// another. False too where that cannot be found out.
  bool has_best(const Evaluation& evaluation) const;
  /// Of a run that goes on from where this was the best: best/ stays where it is that one's, without its card, which told
  /// of an end that is none; else it goes.
  void keep_best(const Evaluation& evaluation) const;

  /// Writes files into a folder that is given.
  using Write = std::function<void(const std::string& folder)>;
  /// The run's output: written within the folder, then renamed into their places. Where the folder takes them no more,
  /// for whatever reason, they are written where there is room, and the IoError says where.
  void save(const Write& write);

 private:
  void save_here(const Write& write);
  /// Where it was saved; "" where there is no room anywhere.
  std::string save_elsewhere(const Write& write) const;
  void install(const std::string& staging);

  std::string path_;
  OutputLock lock_;
  EarlierOutput found_;
  bool is_new_ = false, begun_ = false;
};

}  // namespace loragrad
