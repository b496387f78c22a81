#pragma once
// Threads: one at a time for each writer.
#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "engine/dtype.h"
#include "io/atomic.h"

namespace loragrad {

/// A tensor that a file is to have, before its values are there.
struct TensorOutline {
  std::string name;
  DType dtype = DType::f32;
  std::vector<std::int64_t> shape;
};

/// A safetensors file whose values come one tensor after another, so that none but the one that is being written need be
/// in memory. The file is the reference library's byte for byte (header padded with spaces to 8 bytes; tensors F64, F32,
/// I32, BF16, F16, then by name), whatever order the values come in. It is written as an AtomicFile: until commit(), and
/// for ever if an error comes first, the old file stays whole.
class SafetensorsWriter {
 public:
  /// Writes the header. UsageError for a name given twice or kept by the format, a negative dimension, more than 8 of
  /// them, or more than 2^62 bytes; IoError.
  SafetensorsWriter(const std::string& path, const std::vector<TensorOutline>& tensors,
                    const std::map<std::string, std::string>& metadata = {{"format", "pt"}});
  /// All bytes of one tensor, as the file has them. UsageError for a name that the header does not have, values that are
  /// there already, or another number of bytes than the shape's; IoError.
  void add(const std::string& name, const void* data, std::size_t size);
  /// Puts the file in place. UsageError where a tensor was not added; IoError.
  void commit();

 private:
  struct Place {
    std::uint64_t begin, size;  // in bytes, from the beginning of the file
    bool written;
  };
  std::string path_;
  AtomicFile file_;
  std::map<std::string, Place> places_;
};

}  // namespace loragrad
