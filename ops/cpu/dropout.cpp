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
  std::uint32_t c0[calls], c1[calls], c2[calls], c3[calls], in_order[calls][4];
  for (std::uint32_t i = 0; i < calls; ++i) {
    c0[i] = row;
    c1[i] = position;
    c2[i] = first + i;
    c3[i] = 0;
  }
  // philox() of all calls at once, so that the compiler has a plain loop to vectorise: calling it for each, gcc 12 made
  // wrong code for SSE2 out of the transposed words.
  std::uint64_t key = mask.key;
  for (int round = 0; round < philox_rounds; ++round, key = philox_next_key(key))
    for (int i = 0; i < calls; ++i) philox_round(c0[i], c1[i], c2[i], c3[i], key);
  for (int i = 0; i < calls; ++i) {
    in_order[i][0] = c0[i];
    in_order[i][1] = c1[i];
    in_order[i][2] = c2[i];
    in_order[i][3] = c3[i];
  }
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
