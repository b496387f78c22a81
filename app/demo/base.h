#pragma once
#include <memory>
#include <string>

#include "app/demo/progress.h"
#include "data/tokenizer.h"
#include "models/model.h"

namespace loragrad {

/// A folder of its own for what need not be kept; removed with all in it. IoError when there is no place for one.
class TemporaryFolder {
 public:
  TemporaryFolder();
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  ~TemporaryFolder();
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

/// How much the demo trains; each training of a task is done with so many seeds, as one alone is a matter of luck.
struct DemoScale {
  std::int64_t pretrain_steps, task_steps;
  std::uint64_t seeds;
  std::uint64_t base_seed = 20;  ///< of the base, the stories and the tasks; trainings count on from it
  /// Trainings of tasks: two tasks, two ways; and one task at three more ranks.
  std::int64_t trainings() const { return 4 * static_cast<std::int64_t>(seeds) + 3; }
  static DemoScale full() { return {500, 80, 3}; }
  static DemoScale quick() { return {50, 12, 1}; }
};

constexpr TokenId demo_end_token = 256;  ///< the bytes tokenizer's, to which the demo's words are added

struct DemoBase {
  std::string folder;   ///< a Hugging Face model folder
  bool cached = false;  ///< found, not made
  double seconds = 0;   ///< that pretraining took, when it was made now
};

/// The demo's base: a small Llama trained on its stories. Taken from the user's cache ($XDG_CACHE_HOME, else ~/.cache,
/// in loragrad/demo) unless `fresh`; made and kept there otherwise, or in `scratch` where the cache cannot be written.
DemoBase open_demo_base(const DemoScale& scale, bool fresh, const DevicePtr& device, const std::string& scratch,
                        DemoProgress& progress);

}  // namespace loragrad
