#include "data/jinja/lexer.h"

#include <fmt/format.h>

#include <algorithm>

#include "data/jinja/letters.h"
#include "data/jinja/literals.h"
#include "data/jinja/value.h"
#include "io/utf8.h"

namespace loragrad::jinja {
namespace {

using Kind = Token::Kind;

std::string with_unix_line_breaks(std::string_view source) {
  std::string out;
  for (std::size_t i = 0; i < source.size(); ++i) {
    if (source[i] == '\r' && i + 1 < source.size() && source[i + 1] == '\n') continue;
    out += source[i] == '\r' ? '\n' : source[i];
  }
  if (out.ends_with('\n')) out.pop_back();
  return out;
}

class Lexer {
 public:
  explicit Lexer(std::string_view source) : source_(with_unix_line_breaks(source)) {}

  std::vector<Token> run() {
    while (at_ < source_.size()) read_data();
    add(Kind::end, "");
    return std::move(tokens_);
  }

 private:
  bool here(std::string_view text) const { return std::string_view(source_).substr(at_).starts_with(text); }
  void add(Kind kind, std::string text) { tokens_.push_back({kind, std::move(text), line_}); }
  /// Goes on to `end`, counting lines.
  void go_to(std::size_t end) {
    end = std::min(end, source_.size());
    line_ += static_cast<int>(std::count(source_.begin() + static_cast<std::ptrdiff_t>(at_),
                                         source_.begin() + static_cast<std::ptrdiff_t>(end), '\n'));
    at_ = end;
  }
  std::size_t spaces_end(std::size_t at) const { return at + leading_spaces(std::string_view(source_).substr(at)); }
  [[noreturn]] void fail(const std::string& message) const { throw Fault(message, line_); }

  /// Where the tag's text before it ends. `sign` is the character behind the tag's begin.
  std::string_view before_tag(std::size_t begin, std::size_t end, char sign, bool is_variable) const {
    std::string_view text = std::string_view(source_).substr(begin, end - begin);
    if (sign == '-') return text.substr(0, text.size() - trailing_spaces(text));
    if (sign == '+' || is_variable) return text;
    std::size_t last = text.rfind('\n');
    std::size_t line_start = last == std::string_view::npos ? 0 : last + 1;
    bool starts_line = line_start > 0 || begin == 0 || source_[begin - 1] == '\n';
    bool blank = leading_spaces(text.substr(line_start)) == text.size() - line_start;
    return starts_line && blank ? text.substr(0, line_start) : text;
  }
  char sign_at(std::size_t at) const {
    return at < source_.size() && (source_[at] == '-' || source_[at] == '+') ? source_[at] : '\0';
  }
  void add_data(std::string_view text) {
    if (!text.empty()) add(Kind::data, std::string(text));
  }
  /// Behind the end of a block or comment, which stands at `at` and has two characters.
  std::size_t behind_block(std::size_t at, char sign) const {
    if (sign == '-') return spaces_end(at + 2);
    return at + 2 + (sign != '+' && at + 2 < source_.size() && source_[at + 2] == '\n');
  }

  void read_data() {
    std::size_t begin = at_, tag = at_;
    for (tag = source_.find('{', tag); tag != std::string::npos; tag = source_.find('{', tag + 1))
      if (tag + 1 < source_.size() && std::string_view("%{#").find(source_[tag + 1]) != std::string_view::npos) break;
    if (tag == std::string::npos) {
      add_data(std::string_view(source_).substr(begin));
      return go_to(source_.size());
    }
    char kind = source_[tag + 1], sign = sign_at(tag + 2);
    add_data(before_tag(begin, tag, sign, kind == '{'));
    go_to(tag + 2 + (sign != '\0'));
    if (kind == '#') return read_comment();
    if (kind == '%' && read_raw()) return;
    add(kind == '%' ? Kind::block_begin : Kind::variable_begin, "");
    read_tag(kind == '%' ? '%' : '}', kind == '%' ? Kind::block_end : Kind::variable_end);
  }

  void read_comment() {
    std::size_t end = source_.find("#}", at_);
    if (end == std::string::npos) fail("expected the end of this comment, #}, found the end of the template");
    char sign = end > at_ ? sign_at(end - 1) : '\0';
    go_to(behind_block(end, sign));
  }

  /// Whether a raw block began here; then it is read.
  bool read_raw() {
    std::size_t at = spaces_end(at_);
    if (std::string_view(source_).substr(at, 3) != "raw") return false;
    at = spaces_end(at + 3);
    char sign = sign_at(at);
    if (sign == '+' || std::string_view(source_).substr(at + (sign != '\0'), 2) != "%}") return false;
    std::size_t begin = at + (sign != '\0') + 2;
    if (sign == '-') begin = spaces_end(begin);
    for (std::size_t tag = source_.find("{%", begin); tag != std::string::npos; tag = source_.find("{%", tag + 2)) {
      char before = sign_at(tag + 2);
      std::size_t word = spaces_end(tag + 2 + (before != '\0'));
      if (std::string_view(source_).substr(word, 6) != "endraw") continue;
      std::size_t end = spaces_end(word + 6);
      char after = sign_at(end);
      end += after != '\0';
      if (std::string_view(source_).substr(end, 2) != "%}") continue;
      go_to(begin);
      add_data(before_tag(begin, tag, before, false));
      go_to(behind_block(end, after));
      return true;
    }
    fail("expected endraw, found the end of the template");
  }

  void read_tag(char end_character, Kind end) {
    std::string open;  // brackets that are to be closed, which hide the tag's end
    const std::string closing = {end_character, '}'};
    for (;;) {
      go_to(spaces_end(at_));
      if (at_ >= source_.size()) fail("expected the end of this tag, found the end of the template");
      char sign = end == Kind::block_end || source_[at_] == '-' ? sign_at(at_) : '\0';
      if (open.empty() && std::string_view(source_).substr(at_ + (sign != '\0'), 2) == closing) {
        add(end, "");
        std::size_t place = at_ + (sign != '\0');
        return go_to(end == Kind::block_end ? behind_block(place, sign)
                     : sign == '-'          ? spaces_end(place + 2)
                                            : place + 2);
      }
      read_token(open);
    }
  }

  void read_token(std::string& open) {
    std::string_view rest = std::string_view(source_).substr(at_);
    char c = rest[0];
    if (c == '"' || c == '\'') {
      std::size_t size = quoted_size(rest);
      if (size == 0) fail("expected the end of this string, found the end of the template");
      add(Kind::string, unescaped_literal(rest.substr(1, size - 2), line_));
      return go_to(at_ + size);
    }
    if (c >= '0' && c <= '9') {
      auto [size, whole] = numeral_size(rest, at_ > 0 && source_[at_ - 1] == '.');
      std::string digits(rest.substr(0, size));
      std::erase(digits, '_');
      add(whole ? Kind::integer : Kind::number, digits);
      return go_to(at_ + size);
    }
    if (std::size_t size = name_size(rest)) {
      add(Kind::name, std::string(rest.substr(0, size)));
      return go_to(at_ + size);
    }
    std::size_t size = sign_size(rest);
    if (size == 0) fail("unexpected character " + escaped(rest.substr(0, code_point_at(rest, 0).size)));
    if (c == '(' || c == '[' || c == '{') open += c == '(' ? ')' : c == '[' ? ']' : '}';
    if (c == ')' || c == ']' || c == '}') {
      if (open.empty() || open.back() != c)
        fail(fmt::format("expected {}, found {}", open.empty() ? "the end of the tag" : open.substr(open.size() - 1),
                         c));
      open.pop_back();
    }
    add(Kind::sign, std::string(rest.substr(0, size)));
    go_to(at_ + size);
  }

  std::string source_;
  std::size_t at_ = 0;
  int line_ = 1;
  std::vector<Token> tokens_;
};

}  // namespace

std::vector<Token> tokens_of(std::string_view source) { return Lexer(source).run(); }

}  // namespace loragrad::jinja
