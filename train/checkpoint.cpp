#include "train/checkpoint.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstring>
#include <filesystem>

#include "engine/error.h"
#include "io/atomic.h"
#include "io/fnv.h"
#include "io/json_text.h"
#include "io/mapped_file.h"
#include "io/message.h"
#include "io/safetensors.h"
#include "io/siblings.h"
#include "train/state_json.h"

namespace loragrad {
namespace {

namespace fs = std::filesystem;

constexpr std::int64_t format = 1;
constexpr const char *manifest_file = "manifest.json", *state_file = "state.json",
                     *optimizer_file = "optimizer.safetensors", *model_file = "model.safetensors";
constexpr std::array files{
    manifest_file, state_file, optimizer_file, model_file, "adapter_config.json", "adapter_model.safetensors"};
constexpr std::string_view step_prefix = "step-";

std::string in(const std::string& folder, const std::string& name) { return (fs::path(folder) / name).string(); }

void require_finite(const std::string& name, const std::vector<float>& values) {
  if (!std::all_of(values.begin(), values.end(), [](float value) { return std::isfinite(value); }))
    throw NumericError(name + ": expected finite numbers to save, found NaN or Inf");
}

/// Moments may overflow, and what is trained may not.
bool is_moment(const std::string& name) { return name.ends_with(first_moment) || name.ends_with(second_moment); }

void write_tensors(const std::string& path, const std::vector<const StateTensor*>& tensors) {
  std::vector<TensorOutline> outlines;
  for (const StateTensor* tensor : tensors)
    outlines.push_back({tensor->name, DType::f32, {tensor->shape.rows, tensor->shape.cols}});
  SafetensorsWriter file(path, outlines);
  for (const StateTensor* tensor : tensors) {
    std::vector<float> values = tensor->values();
    if (!is_moment(tensor->name)) require_finite(tensor->name, values);
    file.add(tensor->name, values.data(), values.size() * sizeof(float));
  }
  file.commit();
}

std::vector<const StateTensor*> pointers(const std::vector<StateTensor>& tensors) {
  std::vector<const StateTensor*> list;
  for (const StateTensor& tensor : tensors) list.push_back(&tensor);
  return list;
}

/// What is trained and its moments. An adapter's own file may have it otherwise: rounded to the base's type, or put
/// together for another base.
void write_state(const CheckpointToWrite& checkpoint, const std::string& folder) {
  std::vector<const StateTensor*> optimizer = pointers(checkpoint.state.moments),
                                  trained = pointers(checkpoint.state.trained);
  if (checkpoint.adapter) {
    write_adapter(*checkpoint.adapter, folder);
    optimizer.insert(optimizer.end(), trained.begin(), trained.end());
  } else {
    write_tensors(in(folder, model_file), trained);
  }
  write_tensors(in(folder, optimizer_file), optimizer);
  Json::Object json{{"format", format}};
  for (auto& member : state_json(checkpoint.state)) json.push_back(std::move(member));
  json.emplace_back("run", record_json(checkpoint.run));
  write_file(in(folder, state_file), result_text(Json(std::move(json))) + "\n");
}

void write_manifest(const std::string& folder, const std::string& program) {
  Json::Object list;
  for (const char* name : files) {
    std::string path = in(folder, name);
    std::error_code error;
    bool is_there = fs::exists(path, error);
    std::uintmax_t bytes = is_there ? fs::file_size(path, error) : 0;
    if (error) throw IoError(system_message(path, "read", error.value()));
    if (is_there) list.emplace_back(name, Json::Object{{"bytes", bytes}, {"fnv1a", file_hash(path)}});
  }
  Json json = Json::Object{{"format", format}, {"program", program}, {"files", std::move(list)}};
  write_file(in(folder, manifest_file), json.dump(2) + "\n");
}

/// Of "step-12" 12; 0 for other names.
std::int64_t step_of(const std::string& name) {
  if (!name.starts_with(step_prefix)) return 0;
  std::int64_t step = 0;
  const char *first = name.data() + step_prefix.size(), *last = name.data() + name.size();
  auto [stop, wrong] = std::from_chars(first, last, step);
  return wrong == std::errc() && stop == last && *first > '0' ? step : 0;
}

StateTensor stored_tensor(const StoredTensor& tensor, const std::string& path) {
  if (tensor.shape.size() != 2 || tensor.dtype() != DType::f32)
    throw InputError(path_text(path) + ": " + escaped(tensor.name, 200) + ": expected an F32 matrix, found " +
                     tensor.dtype_name + " " + tensor.shape_text());
  return {tensor.name, {tensor.shape[0], tensor.shape[1]}, [tensor] {
            std::vector<float> values(tensor.byte_count / sizeof(float));
            std::memcpy(values.data(), tensor.bytes, tensor.byte_count);
            tensor.let_go();
            return values;
          }};
}

void read_tensors(const std::string& path, TrainState& state) {
  for (const StoredTensor& tensor : open_safetensors(path).tensors)
    (is_moment(tensor.name) ? state.moments : state.trained).push_back(stored_tensor(tensor, path));
}

/// Removes those after the step, and of the others all but the newest; a line for each that stays all the same.
std::vector<std::string> clear_checkpoints(const std::string& checkpoints, std::int64_t step, std::size_t keep) {
  std::vector<std::int64_t> steps = checkpoint_steps(checkpoints);
  auto later = std::upper_bound(steps.begin(), steps.end(), step);
  auto stay =
      std::min<std::ptrdiff_t>(static_cast<std::ptrdiff_t>(std::max<std::size_t>(keep, 2)), later - steps.begin());
  steps.erase(later - stay, later);
  std::vector<std::string> complaints;
  for (std::int64_t old : steps) try {
      remove_whole(checkpoint_folder(checkpoints, old));
    } catch (const IoError& error) {
      complaints.push_back(
          fmt::format("{}; the checkpoint of step {} is not needed any more, and stays", error.what(), old));
    }
  return complaints;
}

void check_manifest(const std::string& folder) {
  std::string path = in(folder, manifest_file);
  const Json json = read_json_file(path);
  JsonRef manifest(json, path);
  if (std::int64_t found = manifest.at("format").integer(0, std::int64_t{1} << 32); found != format)
    throw InputError(fmt::format("{}: format: expected {}, found {}", path_text(path), format, found));
  for (const auto& [name, facts] : manifest.at("files").members()) {
    if (!is_checkpoint_file(name)) facts.fail("a file of a checkpoint");
    std::string file = in(folder, name);
    auto bytes = static_cast<std::uintmax_t>(facts.at("bytes").integer(0, std::int64_t{1} << 62));
    std::error_code error;
    std::uintmax_t found = fs::file_size(file, error);
    if (error) throw IoError(system_message(file, "read", error.value()));
    if (found != bytes) throw InputError(fmt::format("{}: expected {} bytes, found {}", path_text(file), bytes, found));
    if (std::string hash = file_hash(file); hash != facts.at("fnv1a").string())
      throw InputError(fmt::format("{}: expected bytes whose hash is {}, found {}", path_text(file),
                                   facts.at("fnv1a").string(), hash));
  }
  for (const char* name : {state_file, optimizer_file}) manifest.at("files").at(name);
}

}  // namespace

bool is_checkpoint_file(const std::string& name) { return std::find(files.begin(), files.end(), name) != files.end(); }

std::string checkpoint_folder(const std::string& checkpoints, std::int64_t step) {
  return in(checkpoints, std::string(step_prefix) + std::to_string(step));
}

bool is_checkpoint_name(const std::string& name) { return step_of(name) > 0; }

std::vector<std::int64_t> checkpoint_steps(const std::string& checkpoints) {
  std::vector<std::int64_t> steps;
  std::error_code error;
  for (fs::directory_iterator at(checkpoints, error), end; !error && at != end; at.increment(error))
    if (std::int64_t step = step_of(at->path().filename().string()); step > 0) steps.push_back(step);
  std::sort(steps.begin(), steps.end());
  return steps;
}

std::vector<std::string> write_checkpoint(const CheckpointToWrite& checkpoint, const std::string& checkpoints,
                                          std::size_t keep) {
  std::error_code error;
  if (fs::create_directory(checkpoints, error)) sync_folder(parent_of(checkpoints));
  if (error) throw IoError(system_message(checkpoints, "create", error.value()));
  std::int64_t step = checkpoint.state.result.steps;
  std::string place = checkpoint_folder(checkpoints, step);
  remove_whole(place);  // a damaged one: the run went on from one before it
  AtomicFolder folder(place, AtomicFolder::Existing::refuse);
  write_state(checkpoint, folder.staging());
  write_manifest(folder.staging(), checkpoint.program);
  folder.commit();

  return clear_checkpoints(checkpoints, step, keep);
}

bool is_checkpoint(const std::string& folder) {
  return is_there(fs::path(folder) / manifest_file) && is_there(fs::path(folder) / state_file);
}

Checkpoint open_checkpoint(const std::string& folder) {
  check_manifest(folder);
  std::string path = in(folder, state_file);
  const Json json = read_json_file(path);
  JsonRef state(json, path);
  Checkpoint checkpoint{folder, read_state(state), read_record(state.at("run"))};
  read_tensors(in(folder, optimizer_file), checkpoint.state);
  if (fs::exists(in(folder, model_file))) read_tensors(in(folder, model_file), checkpoint.state);
  return checkpoint;
}

std::optional<Checkpoint> newest_checkpoint(const std::string& checkpoints, std::vector<std::string>& warnings) {
  std::vector<std::int64_t> steps = checkpoint_steps(checkpoints);
  std::string newest;
  for (auto step = steps.rbegin(); step != steps.rend(); ++step) {
    try {
      return open_checkpoint(checkpoint_folder(checkpoints, *step));
    } catch (const Error& error) {
      if (newest.empty()) newest = error.what();
      warnings.push_back(std::string(error.what()) + "; the checkpoint before it is taken");
    }
  }
  if (steps.empty()) return std::nullopt;
  throw InputError(fmt::format("{}: expected a checkpoint that is whole, found {} damaged: {}", path_text(checkpoints),
                               steps.size(), newest));
}

}  // namespace loragrad
