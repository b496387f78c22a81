#pragma once
#include <cstddef>
#include <string>
#include <string_view>

namespace loragrad {

/// One step through a text: a code point, or a maximal part of one that is broken off (Unicode 3.9, table 3-7).
struct CodePoint {
  char32_t value = 0xfffd;
  std::size_t size = 1;  // bytes, >= 1
  bool valid = false;
};

/// The code point at `text[at]`, at < text.size(). Overlong forms, surrogates and values above U+10FFFF are not valid.
inline CodePoint code_point_at(std::string_view text, std::size_t at) {
  auto byte = [&](std::size_t i) -> unsigned { return i < text.size() ? static_cast<unsigned char>(text[i]) : 0u; };
  unsigned first = byte(at);
  if (first < 0x80) return {static_cast<char32_t>(first), 1, true};
  if (first < 0xc2 || first > 0xf4) return {};
  std::size_t size = first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
  char32_t value = first & (0x7fu >> size);
  for (std::size_t i = 1; i < size; ++i) {
    // Only the second byte's range depends on the first: it excludes overlong forms, surrogates and values too large.
    unsigned low = i > 1 ? 0x80 : first == 0xe0 ? 0xa0 : first == 0xf0 ? 0x90 : 0x80;
    unsigned high = i > 1 ? 0xbf : first == 0xed ? 0x9f : first == 0xf4 ? 0x8f : 0xbf;
    unsigned next = byte(at + i);
    if (next < low || next > high) return {0xfffd, i, false};
    value = value << 6 | (next & 0x3f);
  }
  return {value, size, true};
}

/// Whether a byte of valid UTF-8 goes on with a character that begins before it.
inline bool continues_character(char byte) { return (static_cast<unsigned char>(byte) & 0xc0) == 0x80; }

}  // namespace loragrad
