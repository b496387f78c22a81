#include "bench/device_word.h"

#include <algorithm>
#include <string_view>

#include "engine/error.h"
#include "ops/cpu/cpu_device.h"
#include "ops/cuda/cuda_device.h"

namespace loragrad::bench {

std::string take_device(int& count, char** words) {
  char** end = words + count;
  char** flag = std::find_if(words, end, [](std::string_view word) { return word == "--device"; });
  if (end - flag < 2) return "cpu";
  std::string name = flag[1];
  std::copy(flag + 2, end, flag);
  count -= 2;
  return name;
}

DevicePtr open_device(const std::string& name, int threads) {
  if (name == "cpu") return cpu_device(threads);
  if (name == "cuda") return cuda::cuda_device();
  throw UsageError("--device: expected cpu or cuda, found " + name);
}

}  // namespace loragrad::bench
