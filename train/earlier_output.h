#pragma once
#include <string>

namespace loragrad {

/// What lies where an output is to be written, as far as its content shows it.
enum class EarlierOutput {
  nothing,     ///< no folder, an empty one, or no folder at all but a file
  unfinished,  ///< a run's metrics, checkpoints and best adapter, and no output beside them
  finished,    ///< an adapter's or a model's folder that loragrad wrote
};

/// IoError for a folder that holds anything else: a file or folder of a name that loragrad does not write, or neither a
/// model card (README.md) with our tag nor metrics nor a checkpoint of ours. So a model that was downloaded is none.
EarlierOutput earlier_output(const std::string& path);

/// Names within a run's folder.
inline constexpr const char *best_folder = "best", *checkpoints_folder = "checkpoints", *metrics_file = "metrics.jsonl",
                            *run_file = "run.yaml";
/// In best/, beside its adapter: the evaluation that it had.
inline constexpr const char* evaluation_file = "evaluation.json";
/// The files of a finished output without which it is none: of an adapter, or of a model.
inline constexpr const char* output_marks[] = {"adapter_config.json", "config.json"};

/// Whether an output's own file may have this name: not metrics and run.yaml, which are the run's.
bool is_output_file(const std::string& name);

}  // namespace loragrad
