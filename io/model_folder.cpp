#include <fmt/format.h>

#include <filesystem>
#include <set>

#include "engine/error.h"
#include "io/json.h"
#include "io/mapped_file.h"
#include "io/message.h"
#include "io/safetensors.h"
#include "io/torch_file.h"

namespace loragrad {
namespace {

namespace fs = std::filesystem;

using OpenFile = StoredTensors (*)(const std::string& path);

/// What a folder's tensors may be in, in the order of transformers' choice.
struct Format {
  std::string_view file, index;
  OpenFile open;
};
constexpr Format formats[] = {{"model.safetensors", "model.safetensors.index.json", open_safetensors},
                              {"pytorch_model.bin", "pytorch_model.bin.index.json", open_torch_file}};

/// Refuses a shard that lies outside the model's folder, by name or by link.
fs::path shard_path(const fs::path& folder, std::string_view index, const JsonRef& name) {
  const std::string& text = name.string();
  if (text.empty() || text == "." || text == ".." ||
      text.find_first_of(std::string_view("/\\\0", 3)) != std::string::npos)
    name.fail("a plain file name in the same folder");
  fs::path path = folder / text;
  std::error_code error;
  fs::path target = fs::canonical(path, error);
  if (error)
    throw IoError(fmt::format("{}: cannot read: {} ({} names it)", path_text(path.string()), error.message(), index));
  // The hub's cache keeps index and shards elsewhere, side by side, and links to them.
  fs::path here = fs::canonical(folder, error), beside_index = fs::canonical(folder / index, error).parent_path();
  fs::path snapshots = here.parent_path(), blobs = snapshots.parent_path() / "blobs";
  bool in_cache = snapshots.filename() == "snapshots" && target.parent_path() == blobs;
  if (target.parent_path() != here && target.parent_path() != beside_index && !in_cache)
    name.fail(fmt::format("a file in the same folder, not a link to {}", path_text(target.string())));
  return path;
}

struct Shards {
  std::map<std::string, std::string> shard_of;  // by tensor, as the index has it
  std::map<std::string, fs::path> paths;        // by shard
};

Shards read_index(const fs::path& folder, std::string_view name) {
  std::string file = (folder / name).string();
  Json index = read_json_file(file);
  Shards shards;
  for (const auto& [tensor, shard] : JsonRef(index, file).at("weight_map").members()) {
    if (!shards.paths.contains(shard.string())) shards.paths[shard.string()] = shard_path(folder, name, shard);
    shards.shard_of[tensor] = shard.string();
  }
  return shards;
}

StoredTensors open_shards(const fs::path& folder, const Format& format) {
  Shards shards = read_index(folder, format.index);
  StoredTensors result;
  std::map<std::string, std::string> found_in;
  std::vector<std::string> wrong;
  for (const auto& [shard, path] : shards.paths) {
    StoredTensors file = format.open(path.string());
    result.metadata.merge(file.metadata);
    for (StoredTensor& tensor : file.tensors) {
      auto [first, is_new] = found_in.emplace(tensor.name, shard);
      auto listed = shards.shard_of.find(tensor.name);
      if (!is_new)
        wrong.push_back(fmt::format("{} in both {} and {}", tensor.name, first->second, shard));
      else if (listed == shards.shard_of.end())
        wrong.push_back(fmt::format("unlisted {} in {}", tensor.name, shard));
      else if (listed->second != shard)
        wrong.push_back(fmt::format("{} in {} instead of {}", tensor.name, shard, listed->second));
      if (is_new) result.tensors.push_back(std::move(tensor));
    }
  }
  for (const auto& [tensor, shard] : shards.shard_of)
    if (!found_in.contains(tensor)) wrong.push_back(fmt::format("no {} in {}", tensor, shard));
  if (!wrong.empty())
    throw InputError(fmt::format("{}: weight_map: expected every tensor in exactly the shard listed, found {}",
                                 path_text((folder / format.index).string()), list_text(wrong, 240, "; ")));
  sort_by_name(result.tensors);
  return result;
}

/// Why a folder has no model that we read: what lies there instead.
[[noreturn]] void refuse_folder(const fs::path& folder) {
  std::error_code error;
  std::set<std::string> others;
  for (fs::directory_iterator at(folder, error), end; !error && at != end; at.increment(error)) {
    std::string name = at->path().filename().string(), extension = at->path().extension().string();
    for (const char* known : {".safetensors", ".gguf", ".bin", ".pt", ".pth", ".h5", ".msgpack", ".onnx"})
      if (extension == known) others.insert(name);
  }
  std::string where = path_text(folder.string()) + ": ";
  if (error) throw IoError(where + "cannot read: " + error.message());
  throw IoError(where + fmt::format("expected {}, {} or their .index.json, found {}", formats[0].file, formats[1].file,
                                    others.empty() ? "no model file" : list_text({others.begin(), others.end()}, 160)));
}

}  // namespace

StoredTensors open_model_folder(const std::string& folder) {
  std::error_code error;
  fs::file_status status = fs::status(folder, error);
  if (error) throw IoError(system_message(folder, "read", error.value()));
  if (!fs::is_directory(status)) throw IoError(path_text(folder) + ": expected a model folder, found a file");
  fs::path path(folder);
  for (const Format& format : formats) {
    if (is_there(path / format.file)) return format.open((path / format.file).string());
    if (is_there(path / format.index)) return open_shards(path, format);
  }
  refuse_folder(path);
}

}  // namespace loragrad
