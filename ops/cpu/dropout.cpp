#include <array>
#include <bit>
#include <cmath>

#include "engine/random.h"
#include "ops/cpu/dispatch.h"
#include "ops/cpu/kernels.h"

namespace loragrad::cpu {
namespace {

constexpr int draws_per_call = 8;  // philox gives 128 bits, a draw takes 16

/// Draws of columns col .. col + block_size - 1 of one row; the counter is (row in the step, position, column / 8, 0).
void draw_block(const DropoutMask& mask, std::int64_t token, std::int64_t col, std::uint16_t* draws) {
  auto row = static_cast<std::uint32_t>(mask.tokens[2 * token]);
  auto position = static_cast<std::uint32_t>(mask.tokens[2 * token + 1]);
  auto first = static_cast<std::uint32_t>(col / draws_per_call);
  constexpr int calls = block_size / draws_per_call;
  std::uint32_t words[4][calls], in_order[calls][4];
  for (std::uint32_t i = 0; i < calls; ++i) {  // vectorised by the compiler across calls
    std::array<std::uint32_t, 4> random = philox({row, position, first + i, 0}, mask.key);
    for (int w = 0; w < 4; ++w) words[w][i] = random[w];
  }
  for (int i = 0; i < calls; ++i)
    for (int w = 0; w < 4; ++w) in_order[i][w] = words[w][i];
  static_assert(std::endian::native == std::endian::little, "a word's lower half is the first of its two draws");
  std::memcpy(draws, in_order, sizeof(in_order));
}

}  // namespace

void dropout(Device& device, const DropoutArgs& args) {
  // The probability that is really used is a multiple of 1/65536, so the scale that keeps the mean is of that one.
  auto threshold = static_cast<std::uint32_t>(std::lround(args.mask.p * 65536));
  double keep = 1 - threshold / 65536.0;
  with_scalar({args.x, args.y}, [&](auto scalar) {
    using C = decltype(scalar);
    for_blocks(device, args.y.rows, args.y.cols, [&](std::int64_t row, std::int64_t col, std::int64_t n) {
      Block<C> values;
      load(args.x, row, col, n, values);
      if (threshold > 0) {
        std::uint16_t draws[block_size];
        draw_block(args.mask, row, col, draws);
        C scale = keep > 0 ? static_cast<C>(1 / keep) : C(0);
        C* v = values.data();
        for (std::int64_t i = 0; i < block_size; ++i) v[i] = draws[i] >= threshold ? v[i] * scale : C(0);
      }
      store(values, args.beta, args.y, row, col, n);
    });
  });
}

}  // namespace loragrad::cpu
