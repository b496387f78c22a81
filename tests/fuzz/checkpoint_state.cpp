// state.json in a checkpoint whose manifest agrees with it, and what was read of it written and read again.
#include "io/json_text.h"
#include "tests/fuzz/checkpoint.h"
#include "train/state_json.h"

namespace {

std::string text_of(const loragrad::Checkpoint& checkpoint) {
  loragrad::Json::Object json = state_json(checkpoint.state);
  json.emplace_back("run", record_json(checkpoint.run));
  return result_text(loragrad::Json(std::move(json)));
}

}  // namespace

void loragrad::fuzz::read(std::string_view input) {
  static const Folder folder;
  static const std::string optimizer = facts_of(write_optimizer(folder));
  auto open = [](std::string_view state) {
    std::string facts = facts_of(folder.write("state.json", state));
    folder.write("manifest.json", R"({"format": 1, "files": {"state.json": )" + facts +
                                      R"(, "optimizer.safetensors": )" + optimizer + "}}");
    return read_whole(folder.path());
  };
  Checkpoint checkpoint = open(input);
  differences(checkpoint.run, {});
  std::string text = text_of(checkpoint);
  expect(text_of(open(text)) == text);
}
