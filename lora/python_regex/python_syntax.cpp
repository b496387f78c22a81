#include "lora/python_regex/python_syntax.h"

#include <algorithm>
#include <string_view>

namespace loragrad {
namespace {

bool has(std::string_view letters, char letter) { return letters.find(letter) != std::string_view::npos; }

/// In comments too a backslash and what follows it are one.
void skip_one(PatternReader& in) {
  std::size_t place = in.place();
  if (in.next() == '\\' && in.next() == PatternReader::end) in.fail("bad escape (end of pattern)", place);
}

std::string flag_letters(PatternReader& in) {
  std::string letters;
  while (in.peek() < 0x80 && has("imsxau", static_cast<char>(in.peek()))) letters += static_cast<char>(in.next());
  return letters;
}

/// Each once.
std::string known(const std::string& letters) {
  std::string found;
  for (char c : {'i', 'm', 's'})
    if (has(letters, c)) found += c;
  return found;
}

}  // namespace

Width operator+(Width a, Width b) {
  return {std::min(a.least + b.least, unbounded - 1), std::min(a.most + b.most, unbounded)};
}
Width either(Width a, Width b) { return {std::min(a.least, b.least), std::max(a.most, b.most)}; }
Width operator*(Width width, Width times) {
  return {std::min(width.least * times.least, unbounded - 1), std::min(width.most * times.most, unbounded)};
}

std::optional<Width> read_quantifier(PatternReader& in, char32_t c) {
  if (c == '?') return Width{0, 1};
  if (c == '*') return Width{0, unbounded};
  if (c == '+') return Width{1, unbounded};
  if (c != '{' || in.peek() == '}') return {};
  std::size_t begin = in.place();
  constexpr std::size_t any = 1'000'000;
  std::u32string least = in.digits(10, any), most = in.take(',') ? in.digits(10, any) : least;
  if (!in.take('}')) return in.seek(begin), std::nullopt;
  auto value = [&](const std::u32string& digits, std::uint64_t otherwise) {
    std::uint64_t number = 0;
    for (char32_t digit : digits) number = std::min(number * 10 + (digit - '0'), unbounded);
    if (number == unbounded) in.fail("the repetition number is too large", begin);
    return digits.empty() ? otherwise : number;
  };
  Width times{value(least, 0), value(most, unbounded)};
  if (times.most < times.least) in.fail("min repeat greater than max repeat", begin);
  return times;
}

void skip_comment(PatternReader& in, std::size_t begin) {
  while (in.peek() != ')') {
    if (in.peek() == PatternReader::end) in.fail("missing ), unterminated comment", begin);
    skip_one(in);
  }
  in.next();
}

void skip_line(PatternReader& in) {
  while (in.peek() != PatternReader::end && in.peek() != '\n') skip_one(in);
}

InlineFlags read_inline_flags(PatternReader& in) {
  std::size_t place = in.place();
  InlineFlags flags{flag_letters(in), "", false};
  if (has_both_types(flags.on)) in.fail("bad inline flags: flags 'a' and 'u' are incompatible", place);
  if (!flags.on.empty() && in.take(')')) return flags.whole = true, flags;
  if (in.take('-')) {
    flags.off = flag_letters(in);
    if (flags.off.empty()) in.fail("missing flag");
    if (has(flags.off, 'a') || has(flags.off, 'u'))
      in.fail("bad inline flags: cannot turn off flags 'a' and 'u'", place);
    if (flags.off.find_first_of(flags.on) != std::string::npos)
      in.fail("bad inline flags: flag turned on and off", place);
  }
  if (flags.on.empty() && flags.off.empty()) in.fail("unknown extension ?", place);
  if (!in.take(':')) in.fail("unknown flag, or missing :");
  return flags;
}

std::string InlineFlags::opening() const {
  std::string turned_off = known(off);
  return "(?" + known(on) + (turned_off.empty() ? "" : "-" + turned_off);
}

bool has_both_types(const std::string& letters) { return has(letters, 'a') && has(letters, 'u'); }

bool is_group_name(const std::string& name) {
  auto word = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
  };
  return !name.empty() && (name[0] < '0' || name[0] > '9') && std::all_of(name.begin(), name.end(), word);
}

}  // namespace loragrad
