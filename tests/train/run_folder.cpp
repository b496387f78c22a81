#include "train/run_folder.h"

#include <unistd.h>

#include "lora/files/adapter_file.h"
#include "tests/train/support.h"
#include "train/metrics.h"

using namespace loragrad;
using namespace loragrad::test;

namespace fs = std::filesystem;

namespace {

const std::string card = "---\ntags:\n- loragrad\n---\n";

void write_adapter_files(const std::string& folder, const std::string& content) {
  put(folder + "/README.md", card);
  put(folder + "/adapter_config.json", content);
  put(folder + "/adapter_model.safetensors", content);
}

/// An earlier run in `path`, finished or not.
void earlier(const std::string& path, bool finished, bool checkpoints) {
  fs::create_directories(path + "/best");
  put(path + "/metrics.jsonl", metrics_row({}) + "\n");
  put(path + "/best/adapter_config.json", "best");
  if (finished) write_adapter_files(path, "old");
  if (checkpoints) fs::create_directories(path + "/checkpoints/step-3");
}

}  // namespace

TEST_CASE("a run that fails before its first step leaves nothing") {
  TempFolder folder;
  { RunFolder run(folder / "out", false, false); }
  CHECK(folder.names().empty());
  fs::create_directory(folder / "out");
  { RunFolder run(folder / "out", false, false); }
  CHECK(folder.names() == std::set<std::string>{"out"});
}

TEST_CASE("what becomes of an earlier run is asked for") {
  TempFolder folder;
  std::string path = folder / "out";
  auto refusal = [&](bool overwrite, bool resume) {
    return message_of<IoError>([&] { RunFolder(path, overwrite, resume); });
  };
  auto is_taken = [&](bool overwrite, bool resume) {
    RunFolder run(path, overwrite, resume);
    return true;
  };
  earlier(path, false, false);
  CHECK(contains(refusal(false, false), "found an unfinished run (--resume goes on with it, --overwrite begins anew)"));
  CHECK(is_taken(true, false));
  CHECK(is_taken(false, true));
  earlier(path, true, false);
  CHECK(contains(refusal(false, false), "found an earlier output (--overwrite replaces it)"));
  CHECK(contains(refusal(false, true), "found a finished output without checkpoints to go on from"));
  CHECK(is_taken(true, false));
  CHECK(is_taken(true, true));
  earlier(path, true, true);
  CHECK(contains(refusal(false, false), "(--overwrite replaces it, --resume goes on with it)"));
  CHECK(is_taken(false, true));
  for (const char* strange : {"thesis.tex", "checkpoints/notes", "checkpoints/step-3/notes", "best/notes"}) {
    put(path + "/" + strange, "mine");
    for (bool yes : {false, true}) CHECK(contains(refusal(yes, yes), (std::string("found ") + strange).c_str()));
    fs::remove(path + "/" + strange);
  }
  fs::create_directory(path + "/checkpoints/step-3/state.json");
  CHECK(contains(refusal(true, true), "found checkpoints/step-3/state.json"));
}

TEST_CASE("a run killed before its first row of metrics may go on") {
  TempFolder folder;
  fs::create_directory(folder / "out");
  put(folder / "out/metrics.jsonl", "");
  put(folder / "out/.output.tmp-77", "half");
  CHECK(RunFolder(folder / "out", false, true).found() == EarlierOutput::unfinished);
  fs::remove(folder / "out/metrics.jsonl");
  CHECK(RunFolder(folder / "out", false, false).found() == EarlierOutput::nothing);
}

TEST_CASE("an earlier output stays whole until the new one is") {
  TempFolder folder;
  std::string path = folder / "out";
  earlier(path, true, true);
  put(path + "/.output.tmp-77", "half");
  RunFolder run(path, true, false);
  CHECK(fs::exists(path + "/metrics.jsonl"));
  run.begin(false);
  CHECK(get(path + "/adapter_config.json") == "old");
  for (const char* gone : {"metrics.jsonl", "checkpoints/step-3", "best", ".output.tmp-77"})
    CHECK_FALSE(fs::exists(path + "/" + gone));
  // Killed here, --resume begins anew.
  CHECK(earlier_output(path) == EarlierOutput::finished);
  CHECK(fs::is_empty(path + "/checkpoints"));
  CHECK_THROWS_AS(run.save([&](const std::string& place) {
    put(place + "/adapter_model.safetensors", "half");
    throw NumericError("NaN");
  }),
                  NumericError);
  CHECK(get(path + "/adapter_model.safetensors") == "old");
  run.save([&](const std::string& place) {
    CHECK(get(path + "/adapter_config.json") == "old");
    put(place + "/config.json", "{}");
    put(place + "/model.safetensors", "new");
    put(place + "/README.md", card);
  });
  std::set<std::string> names;
  for (const auto& entry : fs::directory_iterator(path)) names.insert(entry.path().filename());
  CHECK(names == std::set<std::string>{"README.md", "config.json", "model.safetensors"});
}

TEST_CASE("what is resumed stays") {
  TempFolder folder;
  std::string path = folder / "out";
  earlier(path, false, true);
  RunFolder run(path, false, true);
  run.begin(true);
  for (const char* stays : {"metrics.jsonl", "checkpoints/step-3", "best/adapter_config.json"})
    CHECK(fs::exists(path + "/" + stays));
}

TEST_CASE("what finds no room in the folder is written elsewhere, and that is said") {
  TempFolder folder;
  std::string path = folder / "out", place;
  RunFolder run(path, false, false);
  std::string message = message_of<IoError>([&] {
    run.save([&](const std::string& to) {
      if (to.starts_with(path)) throw IoError(to + ": cannot write: No space left on device");
      write_adapter_files(place = to, "new");
    });
  });
  CHECK(message == path + ": cannot write: No space left on device; what was trained is in " + place);
  CHECK(get(place + "/adapter_config.json") == "new");
  fs::remove_all(place);
  CHECK(fs::is_empty(path));
}

TEST_CASE("whatever goes wrong in the folder, what was trained is written elsewhere; NaN is not") {
  TempFolder folder;
  std::string path = folder / "out", place;
  RunFolder run(path, false, false);
  auto save = [&](const std::function<void()>& fail) {
    return [&, fail] {
      run.save([&](const std::string& to) {
        if (to.starts_with(path)) fail();
        write_adapter_files(place = to, "new");
      });
    };
  };
  std::string message = message_of<IoError>(
      save([] { throw fs::filesystem_error("cannot look", "x", std::make_error_code(std::errc::io_error)); }));
  CHECK(message.ends_with("; what was trained is in " + place));
  CHECK(get(place + "/adapter_config.json") == "new");
  fs::remove_all(place);
  // The files are written, and their folder is gone when they are to be moved.
  message = message_of<IoError>([&] {
    run.save([&](const std::string& to) {
      write_adapter_files(place = to, "new");
      if (to.starts_with(path)) fs::remove_all(to);
    });
  });
  CHECK(message == path + ": cannot read: No such file or directory; what was trained is in " + place);
  fs::remove_all(place);
  CHECK_THROWS_AS(save([] { throw NumericError("NaN"); })(), NumericError);
  CHECK(fs::is_empty(path));
}

TEST_CASE("best/ says which evaluation it is of, and what it cannot say is not claimed") {
  TempFolder folder;
  std::string path = folder / "out", best = path + "/best";
  Adapter adapter = make_adapter(test_device(1), {.target_modules = {"q_proj"}}, {{"model.q_proj", 3, 3}}, 1);
  const TrainResult::Best fifth{5, 2.951471328735351}, tenth{10, 2.5};
  RunFolder run(path, false, false);
  run.begin(false);
  CHECK_FALSE(run.has_best({}));
  CHECK_FALSE(run.has_best(fifth));
  run.save_best(adapter, fifth);
  CHECK(get(best + "/evaluation.json") == "{\"step\": 5, \"loss\": 2.951471328735351}\n");
  CHECK(run.has_best(fifth));
  for (const TrainResult::Best& other :
       {tenth, TrainResult::Best{5, 2.9514713287353514}, TrainResult::Best{6, fifth.loss}})
    CHECK_FALSE(run.has_best(other));
  CHECK(earlier_output(path) == EarlierOutput::unfinished);

  // Goes on from where the fifth was the best: its adapter stays, the card of an end does not.
  put(best + "/README.md", card);
  run.keep_best(fifth);
  CHECK(run.has_best(fifth));
  CHECK_FALSE(fs::exists(best + "/README.md"));
  // One that cannot be written leaves the one before.
  fs::create_directory(path + "/.best.lock");
  CHECK_THROWS_AS(run.save_best(adapter, tenth), IoError);
  CHECK(run.has_best(fifth));
  CHECK_FALSE(run.has_best(tenth));
  fs::remove(path + "/.best.lock");
  put(best + "/README.md", card);
  run.save_best(adapter, tenth);
  CHECK(run.has_best(tenth));
  CHECK_FALSE(fs::exists(best + "/README.md"));
  // Of a step that the run has gone back from.
  run.keep_best(fifth);
  CHECK_FALSE(fs::exists(best));
  fs::create_symlink("best", best);
  CHECK_FALSE(run.has_best(fifth));
  CHECK_THROWS_AS(run.save_best(adapter, fifth), IoError);
}
