#include <cuda.h>
#include <cuda_runtime.h>

#include <cstdio>
#include <string_view>

#include "tests/cuda_emulation/machine.h"

using cuda_emulation::machine;

const char* cudaGetErrorString(cudaError_t status) {
  switch (status) {
    case cudaSuccess:
      return "no error";
    case cudaErrorMemoryAllocation:
      return "out of memory";
    case cudaErrorInsufficientDriver:
      return "CUDA driver version is insufficient for CUDA runtime version";
    case cudaErrorNoDevice:
      return "no CUDA-capable device is detected";
    default:
      return "invalid argument";
  }
}
cudaError_t cudaGetLastError() { return cudaSuccess; }
cudaError_t cudaGetDeviceCount(int* count) {
  *count = 0;
  if (machine().driver < 13000) return cudaErrorInsufficientDriver;
  if (machine().gpus == 0) return cudaErrorNoDevice;
  *count = machine().gpus;
  return cudaSuccess;
}
cudaError_t cudaSetDevice(int index) {
  return index >= 0 && index < machine().gpus ? cudaSuccess : cudaErrorInvalidDevice;
}
cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int index) {
  if (index < 0 || index >= machine().gpus) return cudaErrorInvalidDevice;
  std::snprintf(properties->name, sizeof properties->name, "Emulated GPU");
  properties->totalGlobalMem = machine().memory;
  properties->major = machine().major;
  properties->minor = machine().minor;
  properties->multiProcessorCount = 4;
  return cudaSuccess;
}
cudaError_t cudaDriverGetVersion(int* version) {
  *version = machine().driver;
  return cudaSuccess;
}
cudaError_t cudaRuntimeGetVersion(int* version) {
  *version = 13000;
  return cudaSuccess;
}

cudaError_t cudaGetDriverEntryPointByVersion(const char* name, void** function, unsigned, unsigned long long,
                                             cudaDriverEntryPointQueryResult* result) {
  struct Entry {
    std::string_view name;
    void* function;
  };
#define ENTRY(name) \
  Entry { #name, reinterpret_cast < void*>(&name) }
  static const Entry entries[] = {ENTRY(cuMemAddressReserve),
                                  ENTRY(cuMemAddressFree),
                                  ENTRY(cuMemCreate),
                                  ENTRY(cuMemRelease),
                                  ENTRY(cuMemMap),
                                  ENTRY(cuMemUnmap),
                                  ENTRY(cuMemSetAccess),
                                  ENTRY(cuMemGetAllocationGranularity)};
#undef ENTRY
  for (const Entry& entry : entries)
    if (entry.name == name) {
      *function = entry.function;
      if (result) *result = cudaDriverEntryPointSuccess;
      return cudaSuccess;
    }
  if (result) *result = cudaDriverEntryPointSymbolNotFound;
  return cudaErrorInvalidValue;
}
