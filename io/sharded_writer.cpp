#include "io/sharded_writer.h"

#include <fmt/format.h>

#include <filesystem>
#include <limits>

#include "engine/error.h"
#include "io/json.h"
#include "io/message.h"

namespace loragrad {
namespace {

constexpr std::string_view one_file = "model.safetensors", index_file = "model.safetensors.index.json";

/// As many as there are at most, where they do not fit 64 bits: SafetensorsWriter says so.
std::uint64_t bytes_of(const TensorOutline& tensor) {
  std::uint64_t bytes = size_of(tensor.dtype);
  for (std::int64_t dim : tensor.shape)
    if (__builtin_mul_overflow(bytes, dim, &bytes)) return std::numeric_limits<std::uint64_t>::max();
  return bytes;
}

}  // namespace

ShardedWriter::ShardedWriter(const std::string& folder, const std::vector<TensorOutline>& tensors,
                             std::uint64_t largest)
    : folder_(folder) {
  std::vector<std::vector<TensorOutline>> parts(1);
  std::uint64_t filled = 0;
  for (const TensorOutline& tensor : tensors) {
    std::uint64_t bytes = bytes_of(tensor);
    if (!parts.back().empty() && (filled > largest || bytes > largest - filled)) {
      parts.emplace_back();
      filled = 0;
    }
    if (!shard_of_.emplace(tensor.name, parts.size() - 1).second)
      throw UsageError(path_text(folder) + ": " + escaped(tensor.name, 400) +
                       ": expected every tensor once, found it twice");
    parts.back().push_back(tensor);
    filled += bytes;
    total_ += bytes;
  }
  for (std::size_t i = 0; i < parts.size(); ++i) {
    std::string name = parts.size() == 1 ? std::string(one_file)
                                         : fmt::format("model-{:05}-of-{:05}.safetensors", i + 1, parts.size());
    std::string path = (std::filesystem::path(folder) / name).string();
    shards_.push_back({name, std::make_unique<SafetensorsWriter>(path, parts[i])});
  }
}

void ShardedWriter::add(const std::string& name, const void* data, std::size_t size) {
  auto found = shard_of_.find(name);
  // One that is in no file is any file's to refuse.
  shards_[found == shard_of_.end() ? 0 : found->second].file->add(name, data, size);
}

void ShardedWriter::commit() {
  for (Shard& shard : shards_) shard.file->commit();
  if (shards_.size() == 1) return;
  Json::Object places;
  for (const auto& [tensor, shard] : shard_of_) places.emplace_back(tensor, shards_[shard].name);
  Json index = Json::Object{{"metadata", Json::Object{{"total_size", total_}}}, {"weight_map", std::move(places)}};
  write_file((std::filesystem::path(folder_) / index_file).string(), index.dump(2) + "\n");
}

bool is_model_file(const std::string& name) {
  if (name == one_file || name == index_file) return true;
  // As in "model-00001-of-00003.safetensors".
  std::string digits = name;
  for (char& c : digits) c = c >= '0' && c <= '9' ? '0' : c;
  return digits == "model-00000-of-00000.safetensors";
}

}  // namespace loragrad
