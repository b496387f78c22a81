#include "ops/cuda/cublaslt.h"

#include <dlfcn.h>

#include <string>

#include "engine/error.h"

namespace loragrad::cuda {
namespace {

// What is called is the same in both: descriptors are made by the library, and values of enumerations stay.
constexpr const char* names[] = {"libcublasLt.so.13", "libcublasLt.so.12"};
// Where the loader looks, then where NVIDIA's and Debian's packages put it.
constexpr const char* folders[] = {"", "/usr/local/cuda/lib64/", "/usr/lib/x86_64-linux-gnu/"};

void* open_library() {
  for (const char* name : names)
    for (const char* folder : folders)
      if (void* library = dlopen((std::string(folder) + name).c_str(), RTLD_NOW | RTLD_LOCAL)) return library;
  throw IoError(
      "cuda: expected libcublasLt.so.13 or libcublasLt.so.12 where the loader looks, in /usr/local/cuda/lib64 or in "
      "/usr/lib/x86_64-linux-gnu, found none: apt-get install libcublas-13-0, or set LD_LIBRARY_PATH to its folder");
}

CublasLt load() {
  void* library = open_library();
  CublasLt functions;
  auto find = [&](auto& function, const char* name) {
    void* address = dlsym(library, name);
    if (!address) throw IoError(std::string("cuda: expected ") + name + " in libcublasLt, found a library without it");
    function = reinterpret_cast<std::remove_reference_t<decltype(function)>>(address);
  };
#define FUNCTION(name) find(functions.name, "cublasLt" #name);
  LORAGRAD_CUBLASLT_FUNCTIONS(FUNCTION)
#undef FUNCTION
  return functions;
}

}  // namespace

const CublasLt& cublaslt() {
  static const CublasLt functions = load();
  return functions;
}

}  // namespace loragrad::cuda
