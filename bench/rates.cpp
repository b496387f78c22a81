// What a device does at most, through its kernel table: copies of a large array, and products of two matrices [N, N].
//   rates [N=8192] [--device cpu|cuda]
#include <cstdio>
#include <cstdlib>

#include "bench/device_rates.h"
#include "bench/device_word.h"
#include "engine/error.h"

int main(int argc, char** argv) try {
  using namespace loragrad;
  DevicePtr device = bench::open_device(bench::take_device(argc, argv));
  std::int64_t n = argc > 1 ? std::atoll(argv[1]) : 8192;
  if (argc > 2 || n < 1) return std::fputs("usage: rates [N] [--device cpu|cuda]\n", stderr), 2;
  std::printf("copies               %10.1f GB/s\n", bench::copy_rate(device) / 1e9);
  for (DType dtype : {DType::bf16, DType::f32})
    if (dtype == DType::f32 || device->has_bf16())
      std::printf("products of %-8s %10.1f GFLOP/s\n", std::string(name_of(dtype)).c_str(),
                  bench::product_rate(device, dtype, n) / 1e9);
} catch (const loragrad::Error& error) {
  return std::fprintf(stderr, "error: %s\n", error.what()), static_cast<int>(error.kind());
}
