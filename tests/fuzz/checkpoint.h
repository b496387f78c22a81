#pragma once
#include <fmt/format.h>

#include "io/fnv.h"
#include "io/safetensors.h"
#include "tests/fuzz/target.h"
#include "train/checkpoint.h"

namespace loragrad::fuzz {

/// A run's tensors as a checkpoint has them, one that is trained and its moments: the path of their file.
inline std::string write_optimizer(const Folder& folder) {
  const std::vector<float> values{1, -2, 3, 0.5};
  std::vector<TensorToWrite> tensors;
  for (const char* name : {"a", "a.exp_avg", "a.exp_avg_sq"})
    tensors.push_back({name, DType::f32, {2, 2}, values.data()});
  std::string path = folder.path() + "/optimizer.safetensors";
  write_safetensors(path, tensors);
  return path;
}

/// What a manifest says of a file.
inline std::string facts_of(const std::string& path) {
  return fmt::format(R"({{"bytes": {}, "fnv1a": "{}"}})", std::filesystem::file_size(path), file_hash(path));
}

/// Reads a checkpoint, and every value of it.
inline Checkpoint read_whole(const std::string& folder) {
  Checkpoint checkpoint = open_checkpoint(folder);
  for (const auto& tensors : {checkpoint.state.trained, checkpoint.state.moments})
    for (const StateTensor& tensor : tensors) expect(tensor.values().size() * sizeof(float) == tensor.bytes());
  return checkpoint;
}

}  // namespace loragrad::fuzz
