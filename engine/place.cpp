#include "engine/place.h"

#include <string>

#include "engine/error.h"

namespace loragrad {

Weight place(const DevicePtr& device, const HostBytes& bytes, DType stored, Shape shape, DType wanted,
             WeightLayout layout) {
  if (bytes.size != bytes_of(stored, shape.numel()))
    throw ShapeError("weight: expected " + std::to_string(bytes_of(stored, shape.numel())) + " bytes for " +
                     shape.text() + " " + std::string(name_of(stored)) + ", found " + std::to_string(bytes.size));
  if (device->shares_host_memory()) {
    const void* data = device->is_meta() ? nullptr : bytes.data;
    return Weight(device, data, stored, shape, bytes.keep_alive, layout).to(wanted);
  }
  auto copy = std::make_shared<Storage>(device, bytes.size);
  device->upload(copy->block.data, bytes);
  return Weight(device, copy->block.data, stored, shape, copy, layout).to(wanted);
}

}  // namespace loragrad
