// manifest.json beside the files of a checkpoint. In it $STATE and $OPTIMIZER stand for what is true of the two files that
// have to be there, which no mutation would find.
#include "tests/fuzz/checkpoint.h"

namespace {

std::string replaced(std::string text, const std::string& word, const std::string& by) {
  for (std::size_t at = 0; (at = text.find(word, at)) != std::string::npos; at += by.size())
    text.replace(at, word.size(), by);
  return text;
}

}  // namespace

void loragrad::fuzz::read(std::string_view input) {
  static const Folder folder;
  static const std::string empty = folder.write("adapter_config.json", "");
  static const std::string optimizer = facts_of(write_optimizer(folder));
  static const std::string state = facts_of(folder.write("state.json", R"({"step": 3, "position": 12, "updates": 3,
    "learning_steps": 3, "tokens": 90, "supervised_tokens": 80, "seconds": 1.5, "evaluated": 0, "evaluations_since_best": 0,
    "early_stopped": false, "run": {"options": {}, "data_options": {}, "data": "", "eval_data": "", "base": "",
    "stops_early": false, "device": "", "steps": 9, "micro_batch": 0}})"));
  folder.write("manifest.json",
               replaced(replaced(std::string(input), "\"$STATE\"", state), "\"$OPTIMIZER\"", optimizer));
  expect(is_checkpoint(folder.path()));
  expect(read_whole(folder.path()).state.result.steps == 3);
}
