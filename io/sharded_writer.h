#pragma once
// Threads: one at a time for each writer.
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "io/safetensors_write.h"

namespace loragrad {

/// Bytes that the tensors of one file of a model may take: the size that the hub's models come in.
inline constexpr std::uint64_t largest_shard = 5'000'000'000;

/// The tensors of a model folder, whose values come one tensor after another: model.safetensors, or where they take more
/// than `largest` bytes, model-00001-of-00003.safetensors and so on, each within that (a larger tensor has a file of its
/// own), and model.safetensors.index.json, which says what is where. The tensors fill the files in their order.
class ShardedWriter {
 public:
  /// Errors as SafetensorsWriter's.
  ShardedWriter(const std::string& folder, const std::vector<TensorOutline>& tensors,
                std::uint64_t largest = largest_shard);
  /// All bytes of one tensor. Errors as SafetensorsWriter's.
  void add(const std::string& name, const void* data, std::size_t size);
  /// Puts the files in place, the index last. UsageError where a tensor was not added; IoError.
  void commit();

 private:
  struct Shard {
    std::string name;
    std::unique_ptr<SafetensorsWriter> file;
  };
  std::string folder_;
  std::vector<Shard> shards_;
  std::map<std::string, std::size_t> shard_of_;  // by tensor
  std::uint64_t total_ = 0;
};

/// Whether a ShardedWriter may have given a file this name.
bool is_model_file(const std::string& name);

}  // namespace loragrad
