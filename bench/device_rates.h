#pragma once
#include "engine/device.h"

/// What a device does at most, measured through its kernel table.
namespace loragrad::bench {

/// Bytes/s, read and written, of copying an array far larger than a cache.
double copy_rate(const DevicePtr& device);

/// FLOP/s of the product of two matrices [n, n] of random numbers.
double product_rate(const DevicePtr& device, DType dtype, std::int64_t n = 8192);

}  // namespace loragrad::bench
