#include "io/gguf.h"

#include "tests/fuzz/target.h"

void loragrad::fuzz::read(std::string_view input) {
  static const Folder folder;
  GgufFile file = open_gguf(folder.write("adapter.gguf", input));
  unsigned sum = 0;
  for (const GgufTensor& tensor : file.tensors) {
    std::size_t count = 1;
    for (std::int64_t size : tensor.shape) count *= static_cast<std::size_t>(size);
    for (std::size_t i = 0; i < count * size_of(tensor.dtype); ++i) sum += static_cast<unsigned>(tensor.bytes[i]);
  }
  volatile unsigned keep = sum;
  (void)keep;
}
