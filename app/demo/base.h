#pragma once
#include <memory>
#include <string>

#include "app/demo/progress.h"
#include "app/demo/tasks.h"
#include "data/tokenizer/tokenizer.h"
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
  std::int64_t pretrain_steps, who_steps, cheer_steps;  ///< until it is learned, by an adapter too
  std::uint64_t seeds;
  std::uint64_t base_seed = 20;  ///< of the base, the stories and the tasks; trainings count on from it
  std::int64_t steps(DemoTask task) const { return task == DemoTask::cheer ? cheer_steps : who_steps; }
  /// Of all trainings of tasks: two tasks, two ways; and "who" at three more ranks.
  std::int64_t all_task_steps() const {
    return 2 * static_cast<std::int64_t>(seeds) * (who_steps + cheer_steps) + 3 * who_steps;
  }
  static DemoScale full() { return {800, 200, 80, 3}; }
  static DemoScale quick() { return {50, 20, 8, 1}; }
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
