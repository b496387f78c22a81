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
#include "io/mapped_file.h"

namespace loragrad {

/// A file's tensor has no more dimensions.
inline constexpr std::size_t max_tensor_rank = 8;
/// The bits of an element of a dtype of the format, by its name; none for others.
std::optional<std::uint64_t> dtype_bits(std::string_view name);

/// One tensor of a file. `bytes` points into the map and may be misaligned; or, where the file has the elements in
/// another order (a transposed one of pytorch_model.bin), into `copy`.
struct StoredTensor {
  std::string name;
  std::string dtype_name;  // as the file has it: "F32", "BF16", "U8", ...
  std::vector<std::int64_t> shape;
  const std::byte* bytes = nullptr;
  std::size_t byte_count = 0;
  std::shared_ptr<const MappedFile> file;                   // keeps `bytes` valid
  std::shared_ptr<const std::vector<std::byte>> copy = {};  // null: they are the file's

  /// The bytes as a device takes them (engine/place.h).
  HostBytes host_bytes() const;
  /// The file's pages leave the process's resident memory until they are read again.
  void let_go() const;
  /// F32, BF16, F16, F64 as DType. Others throw InputError that names file, tensor and dtype.
  DType dtype() const;
  /// "[768, 768]"
  std::string shape_text() const;
};
/// As SafetensorsFile has them.
void sort_by_name(std::vector<StoredTensor>& tensors);

/// The tensors of one .safetensors file (io/torch_file.h has those of a pytorch_model.bin), mapped read-only, sorted by name. Everything the format forbids is refused
/// with InputError "FILE: TENSOR: expected X, found Y" (docs/formats.md lists it); nothing is read beyond the header.
struct SafetensorsFile {
  std::vector<StoredTensor> tensors;
  std::map<std::string, std::string> metadata;
  const StoredTensor* find(std::string_view name) const;
};
SafetensorsFile open_safetensors(const std::string& path);

/// The tensors of a Hugging Face model folder: model.safetensors, or the shards that model.safetensors.index.json names
/// (plain file names in the same folder, every tensor in exactly one), or pytorch_model.bin, or the shards that
/// pytorch_model.bin.index.json names. Where several are there the first of these is read, as transformers does. A
/// shard may be a link only within the folder, or into the folder where the index itself really lies, or in the hub's
/// cache into the blobs/ of the same repository. IoError for a missing folder or file.
SafetensorsFile open_model_folder(const std::string& folder);

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
