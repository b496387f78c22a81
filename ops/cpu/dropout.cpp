#include <array>
#include <bit>
#include <cmath>
#include <utility>

#include "engine/random.h"
#include "ops/cpu/dispatch.h"
#include "ops/cpu/kernels.h"
#include "ops/cpu/simd.h"

namespace loragrad::cpu {
namespace {

constexpr int draws_per_call = 8;  // philox gives 128 bits, a draw takes 16
constexpr int lanes = simd_bytes / 8;
using Words = SimdWords;

/// Four words of philox's counter for so many calls at once, each in the lower half of a lane; what the upper halves
/// hold does not matter.
struct Counters {
  Words c0, c1, c2, c3;
};

/// The halves of the key of each round.
struct RoundKeys {
  explicit RoundKeys(std::uint64_t key) {
    for (auto& round : halves) {
      round = {key & 0xffffffffu, key >> 32};
      key = philox_next_key(key);
    }
  }
  std::array<std::array<std::uint64_t, 2>, philox_rounds> halves;
};

/// One round (philox_round) of all of them.
void philox_round(Counters& c, const std::array<std::uint64_t, 2>& key) {
  Words p0 = multiply_low_halves(c.c0, 0xD2511F53u), p1 = multiply_low_halves(c.c2, 0xCD9E8D57u);
  c.c0 = (p1 >> 32) ^ c.c1 ^ key[0];
  c.c1 = p1;
  c.c2 = (p0 >> 32) ^ c.c3 ^ key[1];
  c.c3 = p0;
}

/// For each lane the call whose counter stands there: such that the even lanes, and then the odd ones, are consecutive.
template <std::size_t... I>
Words calls_of_lanes(std::index_sequence<I...>) {
  return Words{I / 2 + I % 2 * (lanes / 2)...};
}

template <int odd, std::size_t... I>
Words even_or_odd(Words a, Words b, std::index_sequence<I...>) {
  return __builtin_shufflevector(a, b, (static_cast<int>(I) / 2 * 2 + odd + (I % 2 ? lanes : 0))...);
}

/// Draws of columns col .. col + block_size - 1 of one row; the counter is (row in the step, position, column / 8, 0).
void draw_block(const DropoutMask& mask, const RoundKeys& keys, std::int64_t token, std::int64_t col,
                std::uint16_t* draws) {
  constexpr int groups = 4;  // several hide the multiplications' latency
  constexpr int group_draws = lanes * draws_per_call, step = groups * group_draws;
  static_assert(block_size % step == 0);
  using Lanes = std::make_index_sequence<lanes>;
  auto row = static_cast<std::uint32_t>(mask.tokens[2 * token]);
  auto position = static_cast<std::uint32_t>(mask.tokens[2 * token + 1]);
  Words next = calls_of_lanes(Lanes()) + static_cast<std::uint64_t>(col / draws_per_call);
  for (std::int64_t done = 0; done < block_size; done += step) {
    Counters c[groups];
    for (Counters& group : c) {
      group = {Words{} + row, Words{} + position, next, Words{}};
      next += static_cast<std::uint64_t>(lanes);
    }
    for (const auto& key : keys.halves)
      for (Counters& group : c) philox_round(group, key);
    for (const Counters& group : c) {
      Words first = (group.c0 & 0xffffffffu) | group.c1 << 32, second = (group.c2 & 0xffffffffu) | group.c3 << 32;
      Words low = even_or_odd<0>(first, second, Lanes()), high = even_or_odd<1>(first, second, Lanes());
      std::memcpy(draws, &low, sizeof low);
      std::memcpy(draws + group_draws / 2, &high, sizeof high);
      draws += group_draws;
    }
  }
  static_assert(std::endian::native == std::endian::little, "a word's lower half is the first of its two draws");
}

}  // namespace

void dropout(Device& device, const DropoutArgs& args, void*) {
  // The probability that is really used is a multiple of 1/65536, so the scale that keeps the mean is of that one.
  auto threshold = static_cast<std::uint32_t>(std::lround(args.mask.p * 65536));
  double keep = 1 - threshold / 65536.0;
  RoundKeys keys(args.mask.key);
  with_scalar({args.x, args.y}, [&](auto scalar) {
    using C = decltype(scalar);
    for_blocks(device, args.y.rows, args.y.cols, [&](std::int64_t row, std::int64_t col, std::int64_t n) {
      Block<C> values;
      load(args.x, row, col, n, values);
      if (threshold > 0) {
        std::uint16_t draws[block_size];
        draw_block(args.mask, keys, row, col, draws);
        C scale = keep > 0 ? static_cast<C>(1 / keep) : C(0);
        C* v = values.data();
        for (std::int64_t i = 0; i < block_size; ++i) v[i] = draws[i] >= threshold ? v[i] * scale : C(0);
      }
      store(values, args.beta, args.y, row, col, n);
    });
  });
}

}  // namespace loragrad::cpu
