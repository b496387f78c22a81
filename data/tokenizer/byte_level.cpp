#include "data/tokenizer/byte_level.h"

#include <array>

#include "io/utf8.h"

namespace loragrad {
namespace {

constexpr char32_t first_substitute = 0x100, end_substitute = 0x144;

constexpr bool is_itself(unsigned byte) {
  return (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae;
}

struct Table {
  std::array<char32_t, 256> character{};
  std::array<unsigned char, end_substitute - first_substitute> byte{};  // of the substitutes
};

constexpr Table make_table() {
  Table table;
  char32_t next = first_substitute;
  for (unsigned byte = 0; byte < 256; ++byte) {
    table.character[byte] = is_itself(byte) ? byte : next;
    if (is_itself(byte)) continue;
    table.byte[next - first_substitute] = static_cast<unsigned char>(byte);
    ++next;
  }
  return table;
}

constexpr Table table = make_table();

}  // namespace

std::string to_byte_level(std::string_view bytes) {
  std::string out;
  out.reserve(bytes.size() * 2);
  for (char c : bytes) {
    char32_t code = table.character[static_cast<unsigned char>(c)];
    if (code < 0x80) {
      out.push_back(static_cast<char>(code));
    } else {
      out.push_back(static_cast<char>(0xc0 | code >> 6));
      out.push_back(static_cast<char>(0x80 | (code & 0x3f)));
    }
  }
  return out;
}

void append_byte_level(std::string& bytes, std::string_view token) {
  std::size_t start = bytes.size();
  for (std::size_t at = 0; at < token.size();) {
    CodePoint point = code_point_at(token, at);
    at += point.size;
    if (point.valid && point.value < 0x100 && is_itself(point.value)) {
      bytes.push_back(static_cast<char>(point.value));
    } else if (point.valid && point.value >= first_substitute && point.value < end_substitute) {
      bytes.push_back(static_cast<char>(table.byte[point.value - first_substitute]));
    } else {
      bytes.resize(start);
      bytes += token;
      return;
    }
  }
}

}  // namespace loragrad
