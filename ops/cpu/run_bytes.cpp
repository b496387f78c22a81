#include "ops/cpu/gemm_library.h"
#include "ops/cpu/gemm_tiles.h"
#include "ops/cpu/processor.h"

namespace loragrad::cpu {
namespace {

// Measured (docs/design/009): what a run takes beyond its tensors, the mapped files, what was there before it and what
// is counted below: the generated code of one shape of batch, pages of the libraries, stacks.
constexpr std::size_t runtime_bytes = 10 << 20;

/// The library copies both operands of a tile into its own order, where the meter does not see it unless the tile is of
/// whole rows. Each thread has a tile at a time, mostly of so many rows and columns.
std::size_t packing_bytes(const RunSize& run) {
  return bytes_of(run.products, run.longest * (tallest_whole + narrowest));
}

}  // namespace

std::size_t Processor::run_bytes(const RunSize& run) const {
  return runtime_bytes + library_code_bytes(run.batch_shapes) +
         static_cast<std::size_t>(threads_.size()) * packing_bytes(run);
}

}  // namespace loragrad::cpu
