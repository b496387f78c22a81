#include "engine/error.h"
#include "tests/fuzz/target.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  try {
    loragrad::fuzz::read({reinterpret_cast<const char*>(data), size});
  } catch (const loragrad::Error&) {
    // It was said what is wrong.
  }
  return 0;
}
