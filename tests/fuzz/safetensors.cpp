#include "tests/fuzz/tensors.h"

void loragrad::fuzz::read(std::string_view input) {
  static const Folder folder;
  read_all(open_safetensors(folder.write("model.safetensors", input)));
}
