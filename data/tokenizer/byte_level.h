#pragma once
#include <string>
#include <string_view>

namespace loragrad {

/// GPT-2's spelling of bytes as printable characters: a byte that is a printable Latin-1 character is itself, the
/// others are U+0100, U+0101, ... in order (so that a space is U+0120).  Radford et al. 2019, section 2.2.
std::string to_byte_level(std::string_view bytes);
/// Appends the bytes that `token` spells; a token with a character outside the spelling stands for its own UTF-8.
void append_byte_level(std::string& bytes, std::string_view token);

}  // namespace loragrad
