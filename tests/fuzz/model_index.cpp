// model.safetensors.index.json beside two shards.
#include "io/safetensors_write.h"
#include "tests/fuzz/tensors.h"

void loragrad::fuzz::read(std::string_view input) {
  static const Folder folder;
  folder.write("model.safetensors.index.json", input);
  read_all(open_model_folder(folder.path()));
}
