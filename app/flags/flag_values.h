#pragma once
#include <cstddef>
#include <cstdint>
#include <string>

namespace loragrad {

// What a flag's word says; UsageError `--NAME: expected ..., found "..."` where it says something else.

[[noreturn]] void wrong_value(const std::string& name, const std::string& expected, const std::string& found);

std::int64_t read_integer(const std::string& name, const std::string& text, std::int64_t min, std::int64_t max);
std::uint64_t read_seed(const std::string& name, const std::string& text);
double read_number(const std::string& name, const std::string& text, double min, double max);
std::size_t read_bytes(const std::string& name, const std::string& text);
/// The text itself, which is not empty where the flag's `word` in its help says that it is a path.
const std::string& read_text(const std::string& name, const std::string& word, const std::string& text);

}  // namespace loragrad
