#include <algorithm>

#include "ops/cuda/gemv.h"
#include "ops/cuda/kernels.h"
#include "ops/cuda/thin.h"
#include "ops/gemm.h"

namespace loragrad::cuda {
namespace {

/// The products at the beginning of a list that one pass makes; at least one. Those of a few rows, as in decoding, are
/// made alone, in another way.
std::span<const GemmArgs> together(std::span<const GemmArgs> list) {
  std::size_t count = 1;
  if (!is_thin(list.front()) || is_gemv(list.front())) return list.first(1);
  while (count < std::min(list.size(), most_together) && is_thin(list[count]) &&
         std::all_of(list.begin(), list.begin() + static_cast<std::ptrdiff_t>(count),
                     [&](const GemmArgs& before) { return go_together(before, list[count]); }))
    ++count;
  return list.first(count);
}

/// Calls f(products) for each pass.
template <class F>
void for_each_pass(std::span<const GemmArgs> list, F f) {
  while (!list.empty()) {
    std::span<const GemmArgs> pass = together(list);
    f(pass);
    list = list.subspan(pass.size());
  }
}

}  // namespace

std::size_t scratch_bytes(Device& device, const GemmListArgs& args) {
  std::size_t most = 0;
  for_each_pass(args.products, [&](std::span<const GemmArgs> pass) {
    most = std::max(most, pass.size() > 1 ? thin_scratch(device, pass) : scratch_bytes(device, pass.front()));
  });
  return most;
}

void gemm_list(Device& device, const GemmListArgs& args, void* scratch) {
  for_each_pass(args.products, [&](std::span<const GemmArgs> pass) {
    if (pass.size() == 1) return gemm(device, pass.front(), scratch);
    for (const GemmArgs& g : pass) check_gemm(g);
    thin(device, pass, scratch);
  });
}

}  // namespace loragrad::cuda
