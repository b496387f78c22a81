#pragma once
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace loragrad {

/// FNV-1a of 64 bits.                        Fowler, Noll, Vo; draft-eastlake-fnv
/// For finding what changed by accident: one byte that differs always shows, and whoever wants to can deceive it.
class Fnv1a {
 public:
  void add(std::string_view bytes) {
    for (char c : bytes) add_byte(static_cast<unsigned char>(c));
  }
  /// The bytes of a number, the lowest first.
  template <std::unsigned_integral T>
  void add_number(T value) {
    for (std::size_t i = 0; i < sizeof value; ++i) add_byte(static_cast<unsigned char>(value >> (8 * i)));
  }
  std::uint64_t value() const { return value_; }
  /// 16 hexadecimal digits.
  std::string text() const;

 private:
  void add_byte(unsigned char byte) { value_ = (value_ ^ byte) * 0x100000001b3u; }
  std::uint64_t value_ = 0xcbf29ce484222325u;
};

/// Of a whole file, which is read and not mapped. IoError.
std::string file_hash(const std::string& path);

}  // namespace loragrad
