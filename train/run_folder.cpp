#include "train/run_folder.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <exception>
#include <filesystem>
#include <limits>
#include <set>
#include <vector>

#include "engine/error.h"
#include "io/json.h"
#include "io/mapped_file.h"
#include "io/message.h"
#include "io/siblings.h"
#include "lora/files/adapter_file.h"
#include "train/checkpoint.h"

namespace loragrad {
namespace {

namespace fs = std::filesystem;

/// What there is to do about an earlier output where nobody said it; "" where that was said.
std::string undecided(EarlierOutput found, bool has_checkpoints, bool overwrite, bool resume) {
  if (overwrite || found == EarlierOutput::nothing) return "";
  if (found == EarlierOutput::unfinished)
    return resume ? "" : "found an unfinished run (--resume goes on with it, --overwrite begins anew)";
  if (resume)
    return has_checkpoints ? "" : "found a finished output without checkpoints to go on from (--overwrite begins anew)";
  return std::string("found an earlier output (--overwrite replaces it") +
         (has_checkpoints ? ", --resume goes on with it)" : ")");
}

bool is_mark(const std::string& name) {
  return std::find(std::begin(output_marks), std::end(output_marks), name) != std::end(output_marks);
}

void remove_file(const std::string& path) {
  if (::unlink(path.c_str()) != 0 && errno != ENOENT) throw IoError(system_message(path, "remove", errno));
}

void rename_file(const std::string& from, const std::string& to) {
  if (::rename(from.c_str(), to.c_str()) != 0) throw IoError(system_message(to, "write", errno));
}

std::string make_folder(const std::string& path) {
  return make_sibling(path, [](const std::string& name) { return ::mkdir(name.c_str(), 0777) == 0; });
}

/// Where else there may be room.
std::vector<fs::path> other_places() {
  std::error_code error;
  return {fs::temp_directory_path(error), fs::current_path(error)};
}

}  // namespace

RunFolder::RunFolder(const std::string& path, bool overwrite, bool resume)
    : path_(resolved_folder(path)), lock_(path_), found_(earlier_output(path_)) {
  std::error_code error;
  bool has_checkpoints = fs::exists(checkpoints(), error);
  if (std::string found = undecided(found_, has_checkpoints, overwrite, resume); !found.empty())
    throw IoError(path_text(path_) + ": expected a folder that does not exist yet, " + found);
  is_new_ = ::mkdir(path_.c_str(), 0777) == 0;
  if (is_new_) return;
  int reason = errno;
  if (reason != EEXIST) throw IoError(system_message(path_, "write", reason));
  if (!fs::is_directory(path_, error)) throw IoError(path_text(path_) + ": expected a folder, found a file");
  if (::access(path_.c_str(), W_OK | X_OK) != 0) throw IoError(system_message(path_, "write", errno));
}

RunFolder::~RunFolder() {
  if (is_new_ && !begun_) ::rmdir(path_.c_str());
}

std::string RunFolder::file(const std::string& name) const { return (fs::path(path_) / name).string(); }

void RunFolder::begin(bool resumes) {
  begun_ = true;
  for (const std::string& folder : {path_, checkpoints(), file(best_folder)}) clear_folder(folder);
  if (!resumes)
    for (const char* part : {checkpoints_folder, best_folder, metrics_file, run_file}) remove_whole(file(part));
  // Beside an earlier output it says that a run is under way, though it may not have a checkpoint yet.
  if (!resumes && found_ == EarlierOutput::finished) ::mkdir(checkpoints().c_str(), 0777);
  sync_folder(parent_of(path_));
}

void RunFolder::save_best(const Adapter& adapter, const TrainResult::Best& evaluation) const {
  AtomicFolder folder(file(best_folder), AtomicFolder::Existing::replace);
  save_adapter(adapter, folder.staging());
  Json json = Json::Object{{"step", evaluation.step}, {"loss", evaluation.loss}};
  write_file((fs::path(folder.staging()) / evaluation_file).string(), json.dump() + "\n");
  folder.commit();
}

bool RunFolder::has_best(const Evaluation& evaluation) const {
  if (!evaluation) return false;
  try {
    std::string path = (fs::path(file(best_folder)) / evaluation_file).string();
    const Json json = read_json_file(path);
    JsonRef found(json, path);
    return found.at("step").integer(0, std::numeric_limits<std::int64_t>::max()) == evaluation->step &&
           found.at("loss").number(-std::numeric_limits<double>::max(), std::numeric_limits<double>::max()) ==
               evaluation->loss;
  } catch (const std::exception&) {
    return false;
  }
}

void RunFolder::keep_best(const Evaluation& evaluation) const {
  if (!has_best(evaluation)) return remove_whole(file(best_folder));
  ::unlink((fs::path(file(best_folder)) / "README.md").c_str());
}

void RunFolder::save(const Write& write) {
  begun_ = true;
  try {
    return save_here(write);
  } catch (const NumericError&) {
    throw;  // no place is better for it
  } catch (const std::exception& error) {
    std::string place = save_elsewhere(write);
    if (place.empty()) throw;
    throw IoError(std::string(error.what()) + "; what was trained is in " + path_text(place));
  }
}

std::string RunFolder::save_elsewhere(const Write& write) const {
  std::string name = fs::path(path_).filename().string() + ".saved-" + std::to_string(::getpid());
  for (const fs::path& place : other_places()) {
    std::string folder = (place / name).string();
    if (::mkdir(folder.c_str(), 0777) != 0) continue;
    try {
      write(folder);
      return folder;
    } catch (const std::exception&) {
      std::error_code ignored;
      fs::remove_all(folder, ignored);
    }
  }
  return "";
}

void RunFolder::save_here(const Write& write) {
  // Somebody may have taken the folder away.
  if (::mkdir(path_.c_str(), 0777) != 0 && errno != EEXIST) throw IoError(system_message(path_, "write", errno));
  std::string staging = make_folder(file("output"));
  std::error_code ignored;
  try {
    write(staging);
    install(staging);
  } catch (const IoError& error) {
    fs::remove_all(staging, ignored);
    // Nobody knows the folder that the files were on their way in.
    std::string text = error.what();
    if (std::size_t at = text.find(staging); at != std::string::npos) text.replace(at, staging.size(), path_);
    throw IoError(text);
  } catch (...) {
    fs::remove_all(staging, ignored);
    throw;
  }
  ::rmdir(staging.c_str());
  ::rmdir(checkpoints().c_str());  // where there is none
}

void RunFolder::install(const std::string& staging) {
  std::set<std::string> names, old;
  for (const fs::directory_entry& entry : entries_of(staging)) names.insert(entry.path().filename().string());
  for (const fs::directory_entry& entry : entries_of(path_))
    if (std::string name = entry.path().filename().string(); is_output_file(name)) old.insert(name);
  // From here on and until the new mark is there the folder is unfinished: files of two outputs never pass for one.
  for (const char* mark : output_marks)
    if (old.count(mark)) remove_file(file(mark));
  sync_folder(path_);
  auto move = [&](const std::string& name) { rename_file((fs::path(staging) / name).string(), file(name)); };
  for (const std::string& name : old)
    if (!is_mark(name) && !names.count(name)) remove_file(file(name));
  for (const std::string& name : names)
    if (!is_mark(name)) move(name);
  sync_folder(path_);
  for (const std::string& name : names)
    if (is_mark(name)) move(name);
  sync_folder(path_);
}

}  // namespace loragrad
