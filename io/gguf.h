#pragma once
// Threads: values and functions of their arguments alone; any thread may use them.
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "engine/dtype.h"
#include "io/mapped_file.h"

namespace loragrad {

/// A value of a GGUF file's metadata, as far as adapters have them; arrays are passed over.
using GgufValue = std::variant<std::string, double>;

/// One tensor of a GGUF file: f32, f16 or bf16, row-major with `shape` as matrices have it (the file lists dimensions
/// from the innermost out). `bytes` points into the map.
struct GgufTensor {
  std::string name;
  DType dtype = DType::f32;
  std::vector<std::int64_t> shape;
  const std::byte* bytes = nullptr;
};

/// llama.cpp's file format, version 2 and 3, little-endian:
/// "GGUF", version u32, number of tensors u64, of metadata u64; the metadata: key, type u32, value; the tensors: name,
/// number of dimensions u32, dimensions u64, type u32, offset u64; and from the next multiple of general.alignment (32)
/// on the values, each at such a multiple. A text is its length u64 and its bytes.
struct GgufFile {
  std::string path;
  std::map<std::string, GgufValue> metadata;
  std::vector<GgufTensor> tensors;
  std::shared_ptr<const MappedFile> file;  // keeps the tensors' bytes valid

  /// InputError for a value that is missing or of another kind.
  const std::string& text(const std::string& key) const;
  double number(const std::string& key) const;
};

/// InputError "FILE: KEY: expected X, found Y" for what is no such file, is cut short, has a key or a tensor twice, or has a
/// tensor of another type (quantised ones), of more than two dimensions or outside the file.
GgufFile open_gguf(const std::string& path);
/// Whether a file begins as one.
bool is_gguf(const std::string& path);

/// A tensor of f32 to be written.
struct GgufTensorToWrite {
  std::string name;
  std::vector<std::int64_t> shape;
  std::vector<float> values;
};
/// Numbers are written as f32. Whole or not at all; IoError.
void write_gguf(const std::string& path, const std::vector<std::pair<std::string, GgufValue>>& metadata,
                const std::vector<GgufTensorToWrite>& tensors);

}  // namespace loragrad
