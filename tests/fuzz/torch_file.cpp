#include "io/torch_file.h"

#include "tests/fuzz/tensors.h"

void loragrad::fuzz::read(std::string_view input) {
  static const Folder folder;
  read_all(open_torch_file(folder.write("pytorch_model.bin", input)));
}
