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
/// The bits of an element of a dtype, by its name in safetensors' header; none for others.
std::optional<std::uint64_t> dtype_bits(std::string_view name);

/// One tensor of a file. `bytes` points into the map and may be misaligned; or, where the file has the elements in
/// another order (a transposed one of pytorch_model.bin), into `copy`.
struct StoredTensor {
  std::string name;
  std::string dtype_name;  // as safetensors has it: "F32", "BF16", "U8", ...
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

/// The tensors of a file or of several, whatever the format (io/safetensors.h, io/torch_file.h), sorted by name.
struct StoredTensors {
  std::vector<StoredTensor> tensors;
  std::map<std::string, std::string> metadata;
  const StoredTensor* find(std::string_view name) const;
};
void sort_by_name(std::vector<StoredTensor>& tensors);

}  // namespace loragrad
