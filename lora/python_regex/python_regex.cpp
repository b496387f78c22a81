#include "lora/python_regex/python_regex.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <vector>

#include "lora/python_regex/python_syntax.h"

namespace loragrad {
namespace {

constexpr int deepest = 200;  // PCRE2's own limit is 250

/// What flags of re say of how to read on. The others are PCRE2's to know.
struct Flags {
  bool verbose = false, caseless = false;
};

/// What a quantifier would stand behind.
enum class Item { none, assertion, repeated, other };

class Translation {
 public:
  explicit Translation(std::string_view pattern) : in_(pattern) {}

  TranslatedRegex run() {
    alternatives({}, 0);
    if (in_.peek() != PatternReader::end) in_.fail("unbalanced parenthesis");
    if (highest_condition_ >= widths_.size()) in_.fail("invalid group reference");
    return {std::move(out_), std::move(names_)};
  }

 private:
  Width alternatives(Flags flags, int depth) {
    if (depth > deepest) in_.fail("too many parentheses within each other");
    Width width = sequence(flags, depth, depth == 0);
    while (in_.take('|')) {
      out_ += '|';
      if (depth == 0) flags = global_;
      width = either(width, sequence(flags, depth, false));
    }
    return width;
  }

  /// Items up to a bar, a closing parenthesis or the end.
  Width sequence(Flags flags, int depth, bool first) {
    Width before, last;
    Item item = Item::none;
    auto add = [&](Item kind, Width width) {
      before = before + last;
      last = width;
      item = kind;
    };
    while (in_.peek() != PatternReader::end && in_.peek() != '|' && in_.peek() != ')') {
      std::size_t place = in_.place();
      char32_t c = in_.next();
      if (flags.verbose && skip_space(c)) continue;
      if (c == '\\') {
        escape(flags, add);
      } else if (c == '[') {
        out_ += read_class(in_, flags.caseless);
        add(Item::other, {1, 1});
      } else if (c == '.') {
        out_ += '.';
        add(Item::other, {1, 1});
      } else if (c == '^' || c == '$') {
        out_ += static_cast<char>(c);
        add(Item::assertion, {});
      } else if (std::optional<Width> times = read_quantifier(in_, c)) {
        if (item == Item::none || item == Item::assertion) in_.fail("nothing to repeat", place);
        if (item == Item::repeated) in_.fail("multiple repeat", place);
        repeat(*times);
        last = last * *times;
        item = Item::repeated;
      } else if (c != '(') {
        literal(c, flags);
        add(Item::other, {1, 1});
      } else if (!in_.take('?')) {
        add(Item::other, capture("", flags, depth));
      } else if (!in_.take('#')) {
        extension(flags, depth, first && item == Item::none, add);
        if (depth == 0) flags = global_;
      } else {
        skip_comment(in_, place);
      }
    }
    return before + last;
  }

  void literal(char32_t c, Flags flags) {
    require_plain_case(in_, c, flags.caseless);
    out_ += quoted_char(c);
  }

  bool skip_space(char32_t c) {
    if (c == '#') return skip_line(in_), true;
    return c < 0x80 && std::string_view(" \t\n\r\v\f").find(static_cast<char>(c)) != std::string::npos;
  }

  void repeat(Width times) {
    out_ += fmt::format("{{{},", times.least) + (times.most == unbounded ? "}" : fmt::format("{}}}", times.most));
    if (in_.take('?'))
      out_ += '?';
    else if (in_.take('+'))
      out_ += '+';
  }

  template <class Add>
  void escape(Flags flags, const Add& add) {
    std::size_t place = in_.place() - 1;
    char32_t c = in_.peek();
    if (c == 'A' || c == 'b' || c == 'B' || c == 'Z') {
      in_.next();
      out_ += c == 'Z' ? "\\z" : std::string("\\") + static_cast<char>(c);
      return add(Item::assertion, {});
    }
    auto octal = [&](std::size_t ahead) { return in_.peek(ahead) >= '0' && in_.peek(ahead) <= '7'; };
    if (c >= '1' && c <= '9' && !(octal(0) && octal(1) && octal(2))) {
      unsigned group = 0;
      for (char32_t digit : in_.digits(10, 2)) group = group * 10 + (digit - '0');
      return add(Item::other, reference(group, place));
    }
    EscapedChar found = read_escape(in_, false);
    if (found.set)
      out_ += std::string("\\") + found.set;
    else
      literal(found.value, flags);
    add(Item::other, {1, 1});
  }

  Width reference(unsigned group, std::size_t place) {
    check_group(group, place);
    out_ += fmt::format("\\g{{{}}}", group);
    return *widths_[group];
  }

  /// A group that is closed, and not defined in the same look-behind.
  void check_group(unsigned group, std::size_t place) {
    if (group >= widths_.size()) in_.fail(fmt::format("invalid group reference {}", group), place);
    if (!widths_[group]) in_.fail("cannot refer to an open group", place);
    if (group >= groups_before_look_behind_)
      in_.fail("cannot refer to group defined in the same lookbehind subpattern", place);
  }

  void close(std::size_t begin) {
    if (!in_.take(')')) in_.fail("missing ), unterminated subpattern", begin);
    out_ += ')';
  }

  /// A group that counts, its opening read.
  Width capture(const std::string& name, Flags flags, int depth) {
    std::size_t begin = in_.place(), number = widths_.size();
    widths_.emplace_back();
    if (!name.empty() && !names_.emplace(name, static_cast<unsigned>(number)).second)
      in_.fail("redefinition of group name " + name);
    out_ += '(';
    Width width = alternatives(flags, depth + 1);
    close(begin);
    widths_[number] = width;
    return width;
  }

  Width group(const std::string& opening, Flags flags, int depth) {
    std::size_t begin = in_.place();
    out_ += opening;
    Width width = alternatives(flags, depth + 1);
    close(begin);
    return width;
  }

  unsigned named(const std::string& name, std::size_t place) {
    if (!is_group_name(name)) in_.fail("bad character in group name", place);
    auto found = names_.find(name);
    if (found == names_.end()) in_.fail("unknown group name " + name, place);
    return found->second;
  }

  /// What "(?" begins, those two read.
  template <class Add>
  void extension(Flags flags, int depth, bool at_start, const Add& add) {
    std::size_t place = in_.place();
    char32_t c = in_.next();
    if (c == 'P') {
      if (in_.take('<')) {
        std::string name = in_.until('>');
        if (!is_group_name(name)) in_.fail("bad character in group name", place);
        add(Item::other, capture(name, flags, depth));
      } else if (in_.take('=')) {
        add(Item::other, reference(named(in_.until(')'), place), place));
      } else {
        in_.fail("unknown extension ?P", place);
      }
    } else if (c == ':') {
      add(Item::other, group("(?:", flags, depth));
    } else if (c == '>') {
      add(Item::other, group("(?>", flags, depth));
    } else if (c == '=' || c == '!') {
      group(c == '=' ? "(?=" : "(?!", flags, depth);
      add(Item::other, {});
    } else if (c == '<') {
      look_behind(flags, depth);
      add(Item::other, {});
    } else if (c == '(') {
      add(Item::other, condition(flags, depth));
    } else {
      in_.seek(place);
      inline_flags(flags, depth, at_start, add);
    }
  }

  void look_behind(Flags flags, int depth) {
    std::size_t place = in_.place();
    if (in_.peek() != '=' && in_.peek() != '!') in_.fail("unknown extension ?<", place);
    std::string opening = in_.next() == '=' ? "(?<=" : "(?<!";
    std::size_t outer = groups_before_look_behind_;
    groups_before_look_behind_ = std::min(outer, widths_.size());
    Width width = group(opening, flags, depth);
    groups_before_look_behind_ = outer;
    if (width.least != width.most) in_.fail("look-behind requires fixed-width pattern", place);
  }

  /// "(?(GROUP)yes|no)". A group may come later, but must come.
  Width condition(Flags flags, int depth) {
    if (depth > deepest) in_.fail("too many parentheses within each other");
    std::size_t begin = in_.place();
    std::string name = in_.until(')');
    std::size_t number = 0;
    if (is_group_name(name)) {
      number = named(name, begin);
    } else if (name.size() < 4 && name.find_first_not_of("0123456789") == std::string::npos) {
      number = std::stoul(name);
      if (number == 0) in_.fail("bad group number", begin);
      highest_condition_ = std::max(highest_condition_, number);
    } else {
      in_.fail("bad character in group name", begin);
    }
    if (groups_before_look_behind_ != no_look_behind) check_group(static_cast<unsigned>(number), begin);
    out_ += fmt::format("(?({})", number);
    Width yes = sequence(flags, depth + 1, false), no;
    if (in_.take('|')) {
      out_ += '|';
      no = sequence(flags, depth + 1, false);
      if (in_.peek() == '|') in_.fail("conditional backref with more than two branches");
    }
    close(begin);
    return either(yes, no);
  }

  template <class Add>
  void inline_flags(Flags flags, int depth, bool at_start, const Add& add) {
    std::size_t place = in_.place();
    InlineFlags found = read_inline_flags(in_);
    if (!found.whole) {
      set(flags, found.on, true);
      set(flags, found.off, false);
      return add(Item::other, group(found.opening() + ":", flags, depth));
    }
    if (!at_start) in_.fail("global flags not at the start of the expression", place);
    set(global_, found.on, true);
    whole_flags_ += found.on;
    if (has_both_types(whole_flags_)) in_.fail("ASCII and UNICODE flags are incompatible", place);
    if (found.opening() != "(?") out_ += found.opening() + ")";
  }

  static void set(Flags& flags, const std::string& letters, bool to) {
    if (letters.find('x') != std::string::npos) flags.verbose = to;
    if (letters.find('i') != std::string::npos) flags.caseless = to;
  }

  PatternReader in_;
  std::string out_;
  Flags global_;
  std::string whole_flags_;
  std::map<std::string, unsigned> names_;
  std::vector<std::optional<Width>> widths_{std::optional<Width>()};  // by group, 0 is none; none: still open
  static constexpr std::size_t no_look_behind = SIZE_MAX;
  std::size_t groups_before_look_behind_ = no_look_behind;
  std::size_t highest_condition_ = 0;
};

}  // namespace

TranslatedRegex python_to_pcre2(std::string_view pattern) { return Translation(pattern).run(); }

}  // namespace loragrad
