#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "app/devices.h"
#include "app/flags/chat_flags.h"
#include "app/flags/flags.h"
#include "app/paths.h"
#include "data/dataset.h"
#include "data/tokenizer/tokenizer.h"
#include "io/needed_folder.h"
#include "models/model.h"
#include "ops/cpu/cpu_device.h"
#include "train/memory_plan.h"

namespace loragrad {

/// What a model computes with, as flags.
struct ComputeFlags {
  std::string precision = "auto";
  DeviceFlags device;

  void add(Flags& flags, bool takes_tf32 = true);
  LoadOptions load_options() const;
};

/// Forecasts of a plan and of the run on `device`, by `forecast(options, like)`.
template <class Function>
Forecaster forecaster(const DevicePtr& device, int threads, Function forecast) {
  auto like = [forecast](const DevicePtr& like) {
    return [forecast, like](const TrainOptions& options) { return forecast(options, like); };
  };
  if (!device->shares_host_memory()) return {like(device), like(device)};
  return {like(planning_device(planned_threads)), like(device), threads};
}

/// Warns where `automatic` precision computes an f16 checkpoint in bf16, which has three bits less.
void warn_of_precision(const CausalLm& model, const std::string& folder, Precision precision);

/// How rows are made, as flags.
struct DataFlags {
  std::int64_t seq_len = 512;
  bool no_eos = false, last_turn_only = false;
  ChatFlags chat;

  void add(Flags& flags);
  /// Reads one split of `path` for a model of this config. `folder` is the model's, to say why it has no tokenizer.
  /// `adapters` are the names that rows may choose; nullopt: they choose none.
  Dataset open(const std::string& path, const std::string& split, const Tokenizer* tokenizer, const ModelConfig& config,
               const std::string& folder, const std::optional<std::vector<std::string>>& adapters) const;
};

/// "DIR", "DIR:WEIGHT" or "NAME=DIR[:WEIGHT]", NAME of letters, digits, _ and -. A folder whose own name ends like a
/// weight is meant as it stands; one whose name begins like NAME= is written with a path, "./a=b". DIR may be a name
/// in the hub's cache: `folder` is its snapshot then.
struct AdapterArgument {
  std::string folder;
  double weight = 1;
  std::string name = {};  ///< for the rows that choose it (data/row_adapter.h); "": for all
  /// UsageError for a weight that is no finite number, and for what stands before a = and is no NAME.
  static AdapterArgument parse(const std::string& text);
  /// All of a command line's; UsageError also for a name that two have.
  static std::vector<AdapterArgument> parse(const std::vector<std::string>& texts);
};
/// UsageError for names among them, in a command that has no rows to choose; `why` says so.
void require_unnamed(const std::vector<std::string>& arguments, const std::string& why);
/// The names among them, in order.
std::vector<std::string> adapter_names(const std::vector<std::string>& arguments);

/// --model and --adapter as what a command reads.
std::vector<InputPath> input_paths(const std::string& model_folder, const std::vector<std::string>& adapters);

/// The model folder's tokenizer. Prints what there is to warn of.
Tokenizer open_tokenizer(const std::string& folder);
/// The same, or none where the folder has no tokenizer that is read: pre-tokenised rows need none.
std::optional<Tokenizer> find_tokenizer(const std::string& folder);
template <class T>
const T* pointer(const std::optional<T>& value) {
  return value ? &*value : nullptr;
}

/// IoError unless the folder that is to hold `file` is there.
void require_folder_of(const std::string& file);

/// Prints what the model's files say that counts for nothing, or is not what it seems.
void warn_of_config(const CausalLm& model);
/// Warns when weights hold NaN or Inf: the base's, or the trained ones. Reads all of them.
void warn_of_bad_weights(const CausalLm& model, const char* whose = "the base's");

}  // namespace loragrad
