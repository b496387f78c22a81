#pragma once
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace loragrad {

/// Characters that a line of error or warning may have, not counting "error: ".
constexpr std::size_t longest_line = 400;

/// `text`, or where it is longer than `limit` bytes its start and its end with "..." between, cut at boundaries of
/// characters.
std::string shortened(std::string_view text, std::size_t limit);

/// A path in a message: escaped, and whole.
std::string path_text(const std::string& path);

/// The first ten of `items` and the number of the others: "a, b and 9,990 more". Fewer than ten where they would take
/// more than about `room` bytes, but one at least. For messages, so escaped.
std::string list_text(const std::vector<std::string>& items, std::size_t room = 240, std::string_view between = ", ");

/// "1,234,567"
std::string grouped(std::int64_t n);

/// A message as it is printed: escaped, and of at most longest_line bytes. Words (paths, names) are shortened
/// first, then what is quoted, then the middle of the line: its start says where, its end what was found.
std::string line_text(std::string_view message);

}  // namespace loragrad
