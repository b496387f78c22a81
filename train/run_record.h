#pragma once
// Threads: values and functions of their arguments alone; any thread may use them.
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "data/dataset.h"
#include "io/json.h"
#include "lora/config.h"
#include "train/trainer.h"

namespace loragrad {

/// What decides a run's bits beside its state, as a checkpoint remembers it.
struct RunRecord {
  using Options = std::vector<std::pair<std::string, std::string>>;
  Options options;       ///< flags by their names, and their values
  Options data_options;  ///< of how rows are made: they count by the rows alone, and are named where those differ
  std::string data, eval_data, base;  ///< hashes; "" where there is none
  bool stops_early = false;           ///< by the evaluation data
  std::string device;                 ///< what computes, in words
  std::int64_t steps = 0;             ///< of the whole run
  std::int64_t micro_batch = 0;       ///< TrainOptions', as a limit of memory has settled it

  void add(const TrainOptions& options);
  void add(const LoraConfig& config);
};

/// Of the rows as the model takes them.
std::string rows_hash(const Dataset& data);

Json::Object record_json(const RunRecord& record);
/// InputError for what record_json does not write.
RunRecord read_record(const JsonRef& json);

/// How a run differs from the one that it goes on with.
struct RunDifferences {
  std::vector<std::string> refused;  ///< "--lr 0.002 instead of 0.001": other bits than that run's
  std::vector<std::string> notes;    ///< what may differ, and is said
  bool other_eval_data = false;      ///< so that losses of before cannot be compared with those to come
};
RunDifferences differences(const RunRecord& then, const RunRecord& now);

}  // namespace loragrad
