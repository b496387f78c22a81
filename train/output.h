#pragma once
#include <string>

#include "io/atomic.h"
#include "lora/adapter.h"

namespace loragrad {

/// The folder of what is made in one go (merged, combined, converted): filled beside its final place, and there complete
/// or not at all. Made before the work, so that an output that cannot be written is found out first. Training has another
/// (train/run_folder.h).
class OutputFolder {
 public:
  /// IoError when `path` exists, unless it is an empty folder, or an earlier output (train/earlier_output.h) and
  /// `overwrite` is set.
  OutputFolder(const std::string& path, bool overwrite);

  /// Where to write a file that belongs in the folder ("README.md").
  std::string file(const std::string& name) const;
  /// A PEFT adapter and its model card (train/model_card.h).
  void save_adapter(const Adapter& adapter, const std::string& card);

  /// Puts the folder in place, and returns where that is: `path`, or where something came into the folder there
  /// meanwhile, so that it is no earlier output any more, `path`.new-PID beside it.
  std::string commit();

 private:
  std::string path_;
  bool overwrite_;
  AtomicFolder::Existing existing_;  // as it was found
  AtomicFolder folder_;
};

}  // namespace loragrad
