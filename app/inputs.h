#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "app/flags.h"
#include "data/dataset.h"
#include "data/tokenizer.h"
#include "models/merge_checkpoint.h"
#include "models/model.h"

namespace loragrad {

/// What a model computes with, as flags.
struct ComputeFlags {
  std::string precision = "auto";
  std::int64_t threads = 0;

  void add(Flags& flags);
  DevicePtr device() const;
  LoadOptions load_options() const;
};

/// How rows are made, as flags.
struct DataFlags {
  std::int64_t seq_len = 512;
  bool no_eos = false;

  void add(Flags& flags);
  /// Reads one split of `path` for a model of this config. `folder` is the model's, to say why it has no tokenizer.
  Dataset open(const std::string& path, const std::string& split, const Tokenizer* tokenizer, const ModelConfig& config,
               const std::string& folder) const;
};

/// "DIR" or "DIR:WEIGHT"; a folder whose own name ends like that is meant as it stands.
struct AdapterArgument {
  std::string folder;
  double weight = 1;
  /// UsageError for a weight that is no finite number.
  static AdapterArgument parse(const std::string& text);
};

/// Opens adapters for this model and prints what there is to warn of.
std::vector<WeightedAdapter> open_adapters(const std::vector<std::string>& arguments, const CausalLm& model);

/// The model folder's tokenizer. Prints what there is to warn of.
Tokenizer open_tokenizer(const std::string& folder);
/// The same, or none where the folder has no tokenizer that is read: pre-tokenised rows need none.
std::optional<Tokenizer> find_tokenizer(const std::string& folder);
template <class T>
const T* pointer(const std::optional<T>& value) {
  return value ? &*value : nullptr;
}

/// IoError unless `path` is a folder.
void require_folder(const std::string& path);
/// UsageError when the output is one of the inputs.
void require_apart(const std::string& output, const std::vector<std::string>& inputs);

/// Warns when base weights hold NaN or Inf. Reads all of them.
void warn_of_bad_weights(const CausalLm& model);

}  // namespace loragrad
