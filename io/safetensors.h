#pragma once
// Threads: values and functions of their arguments alone; any thread may use them.
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/device.h"
#include "io/stored_tensors.h"

namespace loragrad {

/// The tensors of one .safetensors file, mapped read-only. Everything the format forbids is refused with InputError
/// "FILE: TENSOR: expected X, found Y" (docs/formats.md lists it); nothing is read beyond the header.
StoredTensors open_safetensors(const std::string& path);

/// The tensors of a Hugging Face model folder: model.safetensors, or the shards that model.safetensors.index.json names
/// (plain file names in the same folder, every tensor in exactly one), or pytorch_model.bin, or the shards that
/// pytorch_model.bin.index.json names. Where several are there the first of these is read, as transformers does. A
/// shard may be a link only within the folder, or into the folder where the index itself really lies, or in the hub's
/// cache into the blobs/ of the same repository. IoError for a missing folder or file.
StoredTensors open_model_folder(const std::string& folder);

/// One tensor to be written.
struct TensorToWrite {
  std::string name;
  DType dtype = DType::f32;
  std::vector<std::int64_t> shape;
  const void* data = nullptr;
};
/// Writes a file of tensors that are all in memory (io/safetensors_write.h takes them one by one): the reference
/// library's bytes, complete or not at all. Throws IoError, and UsageError for what SafetensorsWriter refuses and for
/// missing data.
void write_safetensors(const std::string& path, const std::vector<TensorToWrite>& tensors,
                       const std::map<std::string, std::string>& metadata = {{"format", "pt"}});

}  // namespace loragrad
