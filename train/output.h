#pragma once
#include <string>

#include "io/atomic.h"
#include "lora/adapter.h"
#include "models/model.h"

namespace loragrad {

/// The folder a run leaves behind: filled beside its final place, and there complete or not at all. Made before the
/// run, so that an output that cannot be written is found out first.
class TrainingOutput {
 public:
  /// IoError when `path` exists, unless it is an empty folder, or an earlier output and `overwrite` is set. An earlier
  /// output is known by its content: no folders but best/, no files of names that loragrad does not write, and among them a model
  /// card (README.md) with our tag or metrics of ours. So a model that was downloaded is none.
  TrainingOutput(const std::string& path, bool overwrite);

  /// Where to write a file that belongs in the folder ("metrics.jsonl").
  std::string file(const std::string& name) const;

  /// A PEFT adapter and its model card (train/model_card.h).
  void save_adapter(const Adapter& adapter, const std::string& card);
  /// The adapter as it is now, in the folder's `best/`, in place of one that was saved there before; its card is
  /// written by whoever knows the whole run.
  void save_best(const Adapter& adapter) const;
  bool has_best() const;
  /// All parameters as a model folder (models/write_model.h).
  void save_model(const CausalLm& model, const std::string& base_folder, const std::string& card);

  /// Puts the folder in place, and returns where that is: `path`, or where something came into the folder there while
  /// the run went on, so that it is no earlier output any more, `path`.new-PID beside it.
  std::string commit();

 private:
  std::string path_;
  bool overwrite_;
  AtomicFolder::Existing existing_;  // as it was found
  AtomicFolder folder_;
};

}  // namespace loragrad
