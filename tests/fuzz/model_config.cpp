// config.json, up to the shapes of the model's parameters.
#include "models/model.h"
#include "ops/cpu/cpu_device.h"
#include "ops/meta_device.h"
#include "tests/fuzz/target.h"

void loragrad::fuzz::read(std::string_view input) {
  static const Folder folder;
  static const DevicePtr device = meta_device(cpu_device());
  auto model = new_model(folder.write("config.json", input), device, 0);
  expect(model->parameter_count() > 0);
  for (const LinearShape& shape : model->linear_shapes()) expect(shape.in > 0 && shape.out > 0);
}
