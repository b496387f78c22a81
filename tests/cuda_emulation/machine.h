#pragma once
#include <cstddef>
#include <string>

namespace cuda_emulation {

/// What the emulated machine has: from the environment's EMULATED_GPUS, "COUNT CAPABILITY MEBIBYTES DRIVER", as in
/// "1 9.0 4096 13000", which is what it is otherwise. A fifth word, mebibytes, is what others take of the memory after it
/// was said to be free.
struct Machine {
  int gpus = 1, major = 9, minor = 0;
  std::size_t memory = std::size_t{4} << 30;
  int driver = 13000;
  std::size_t taken = 0;
};
const Machine& machine();

}  // namespace cuda_emulation
