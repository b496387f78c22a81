#pragma once
#include "io/safetensors.h"
#include "tests/fuzz/target.h"

namespace loragrad::fuzz {

/// Every byte of every tensor can be read.
inline void read_all(const StoredTensors& file) {
  unsigned sum = 0;
  for (const StoredTensor& tensor : file.tensors)
    for (std::size_t i = 0; i < tensor.byte_count; ++i) sum += static_cast<unsigned>(tensor.bytes[i]);
  volatile unsigned keep = sum;
  (void)keep;
}

}  // namespace loragrad::fuzz
