#pragma once
#include <array>
#include <cstdint>

namespace loragrad {

/// Counter-based random numbers: the value is a pure function of (key, counter), so any element can be drawn again, in
/// any order, on any device.  Philox4x32-10; Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3".
inline std::array<std::uint32_t, 4> philox(std::array<std::uint32_t, 4> counter, std::uint64_t key) {
  auto k0 = static_cast<std::uint32_t>(key), k1 = static_cast<std::uint32_t>(key >> 32);
  for (int round = 0; round < 10; ++round) {
    std::uint64_t p0 = std::uint64_t{0xD2511F53u} * counter[0], p1 = std::uint64_t{0xCD9E8D57u} * counter[2];
    counter = {static_cast<std::uint32_t>(p1 >> 32) ^ counter[1] ^ k0, static_cast<std::uint32_t>(p1),
               static_cast<std::uint32_t>(p0 >> 32) ^ counter[3] ^ k1, static_cast<std::uint32_t>(p0)};
    k0 += 0x9E3779B9u;
    k1 += 0xBB67AE85u;
  }
  return counter;
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
