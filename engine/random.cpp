#include "engine/random.h"

#include <cmath>
#include <numbers>

namespace loragrad {
namespace {

std::uint64_t finalise(std::uint64_t x) {
  x += 0x9E3779B97F4A7C15u;
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9u;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EBu;
  return x ^ (x >> 31);
}

}  // namespace

std::uint64_t mix(std::uint64_t a, std::uint64_t b, std::uint64_t c, std::uint64_t d) {
  return finalise(finalise(finalise(finalise(a) ^ b) ^ c) ^ d);
}

std::uint64_t hash_name(const char* text, std::size_t size) {
  std::uint64_t state = size;
  for (std::size_t i = 0; i < size; ++i) state = finalise(state ^ static_cast<unsigned char>(text[i]));
  return state;
}

std::uint32_t Random::next() {
  if (used_ == 4) {
    block_ = philox({static_cast<std::uint32_t>(position_), static_cast<std::uint32_t>(position_ >> 32),
                     static_cast<std::uint32_t>(stream_), static_cast<std::uint32_t>(stream_ >> 32)},
                    seed_);
    ++position_;
    used_ = 0;
  }
  return block_[used_++];
}

double Random::uniform() {
  std::uint64_t high = next(), low = next();
  return static_cast<double>(((high << 32) | low) >> 11) * 0x1p-53;
}

double Random::normal() {
  if (has_spare_) {
    has_spare_ = false;
    return spare_;
  }
  double radius = std::sqrt(-2 * std::log(1 - uniform())), angle = 2 * std::numbers::pi * uniform();
  spare_ = radius * std::sin(angle);
  has_spare_ = true;
  return radius * std::cos(angle);
}

std::uint64_t Random::below(std::uint64_t bound) {
  // Numbers under 2^64 mod bound are drawn again, so that every remainder is equally likely.
  std::uint64_t threshold = (0 - bound) % bound;
  while (true) {
    std::uint64_t high = next(), value = (high << 32) | next();
    if (value >= threshold) return value % bound;
  }
}

}  // namespace loragrad
