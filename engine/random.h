#pragma once
// Threads: philox and mix are functions of their arguments; a stream belongs to one at a time.
#include <array>
#include <cstdint>

namespace loragrad {

constexpr int philox_rounds = 10;
/// One round on the four words of a counter; the key goes on between rounds (philox_next_key).
constexpr void philox_round(std::uint32_t& c0, std::uint32_t& c1, std::uint32_t& c2, std::uint32_t& c3,
                            std::uint64_t key) {
  std::uint64_t p0 = std::uint64_t{0xD2511F53u} * c0, p1 = std::uint64_t{0xCD9E8D57u} * c2;
  c0 = static_cast<std::uint32_t>(p1 >> 32) ^ c1 ^ static_cast<std::uint32_t>(key);
  c1 = static_cast<std::uint32_t>(p1);
  c2 = static_cast<std::uint32_t>(p0 >> 32) ^ c3 ^ static_cast<std::uint32_t>(key >> 32);
  c3 = static_cast<std::uint32_t>(p0);
}
/// Both halves of the key, each by a constant of its own, without a carry between them.
constexpr std::uint64_t philox_next_key(std::uint64_t key) {
  return std::uint64_t{static_cast<std::uint32_t>(key >> 32) + 0xBB67AE85u} << 32 |
         (static_cast<std::uint32_t>(key) + 0x9E3779B9u);
}

/// Counter-based random numbers: the value is a pure function of (key, counter), so any element can be drawn again, in
/// any order, on any device.  Philox4x32-10; Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3".
constexpr std::array<std::uint32_t, 4> philox(std::array<std::uint32_t, 4> c, std::uint64_t key) {
  for (int round = 0; round < philox_rounds; ++round, key = philox_next_key(key))
    philox_round(c[0], c[1], c[2], c[3], key);
  return c;
}

/// A stream of numbers drawn in order; equal (seed, stream) give equal numbers on every machine.
class Random {
 public:
  Random(std::uint64_t seed, std::uint64_t stream) : seed_(seed), stream_(stream) {}
  std::uint32_t next();
  double uniform();                          ///< [0, 1), 53 random bits
  double normal();                           ///< mean 0, standard deviation 1 (Box-Muller)
  std::uint64_t below(std::uint64_t bound);  ///< 0 .. bound-1, without bias

 private:
  std::uint64_t seed_, stream_, position_ = 0;
  std::array<std::uint32_t, 4> block_{};
  int used_ = 4;
  double spare_ = 0;
  bool has_spare_ = false;
};

/// One 64-bit key out of several numbers, well mixed (splitmix64 finaliser over a running state).
std::uint64_t mix(std::uint64_t a, std::uint64_t b, std::uint64_t c = 0, std::uint64_t d = 0);
/// The same of a name: keys a module's stream by its name rather than by its place.
std::uint64_t hash_name(const char* text, std::size_t size);

}  // namespace loragrad
