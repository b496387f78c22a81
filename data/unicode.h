#pragma once
#include <cstddef>
#include <string>
#include <string_view>

namespace loragrad {

/// Offset of the first byte of `text` that is no UTF-8 (Unicode 3.9, table 3-7), or npos.
std::size_t invalid_utf8(std::string_view text);
/// `bytes` with each maximal invalid part (same table) replaced by one U+FFFD.
std::string to_valid_utf8(std::string_view bytes);
/// Appends the UTF-8 of a scalar value.
void append_utf8(std::string& out, char32_t code);
/// Appends the UTF-8 of its lower case (Unicode's, without a language or the characters around it): two characters
/// for U+0130, one for all others.
void append_lowercase(std::string& out, char32_t code);

/// Unicode White_Space.
bool is_white_space(char32_t code);
/// A word character by Unicode's regular expressions (UTS 18, annex C): Alphabetic, marks, decimal digits, connectors,
/// joiners.
bool is_word(char32_t code);
/// General categories Nd, Nl and No.
bool is_numeric(char32_t code);
/// Columns it takes on a terminal: 0, 1 or 2.
int display_width(char32_t code);
/// Of the whole text, UTF-8.
int display_width(std::string_view text);

/// Bytes of white space at the start, and at the end, of valid text.
std::size_t leading_white_space(std::string_view text);
std::size_t trailing_white_space(std::string_view text);
/// The code point that ends valid, non-empty text.
char32_t last_code_point(std::string_view text);

}  // namespace loragrad
