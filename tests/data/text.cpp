// Unicode, splitting and byte spelling: the small parts below the tokenizer.
#include "data/tokenizer/byte_level.h"
#include "data/tokenizer/normal_form.h"
#include "data/tokenizer/split.h"
#include "data/unicode.h"
#include "tests/io/support.h"

using namespace loragrad;
using namespace loragrad::test;

TEST_CASE("one U+FFFD for each maximal invalid part") {
  CHECK(to_valid_utf8("a\xf0\x9f\x98z") == "a\xef\xbf\xbdz");
  CHECK(to_valid_utf8("\xe0\x80\x80") == "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd");
  CHECK(invalid_utf8("a\xed\xa0\x80") == 1);
  CHECK(invalid_utf8("\xf4\x8f\xbf\xbf") == std::string_view::npos);
  CHECK(invalid_utf8("\xf4\x90\x80\x80") == 0);
}

TEST_CASE("normal forms") {
  CHECK(normal_form("e\xcc\x81", NormalForm::nfc) == "\xc3\xa9");
  CHECK(normal_form("\xc3\xa9", NormalForm::nfd) == "e\xcc\x81");
  CHECK(normal_form("\xef\xac\x81", NormalForm::nfkc) == "fi");
  CHECK(normal_form("\xef\xac\x81", NormalForm::nfc) == "\xef\xac\x81");
  // Marks are put in canonical order: U+0323 below comes before U+0307 above.
  CHECK(normal_form("q\xcc\x87\xcc\xa3", NormalForm::nfc) == "q\xcc\xa3\xcc\x87");
  CHECK(normal_form("\xea\xb0\x80", NormalForm::nfd) == "\xe1\x84\x80\xe1\x85\xa1");
  CHECK(normal_form("\xe1\x84\x80\xe1\x85\xa1", NormalForm::nfc) == "\xea\xb0\x80");
  // A run of marks in the worst order must not take quadratic time.
  std::string above, below;
  for (int i = 0; i < 200000; ++i) {
    above += "\xcc\x87";
    below += "\xcc\xa3";
  }
  CHECK(normal_form(above + below, NormalForm::nfd) == below + above);
}

TEST_CASE("lower case") {
  auto lower = [](char32_t code) {
    std::string out;
    append_lowercase(out, code);
    return out;
  };
  CHECK(lower('A') + lower('z') + lower('1') == "az1");
  CHECK(lower(0x130) == "i\u0307");
  CHECK(lower(0x3a3) + lower(0x1e9e) + lower(0x1c5) == "\u03c3\u00df\u01c6");
  CHECK(lower(0x10400) == "\U00010428");
}

TEST_CASE("white space, words and digits") {
  CHECK(leading_white_space("\xe3\x80\x80 \xc2\x85x ") == 6);
  CHECK(trailing_white_space("x\xe1\xa0\x8e\xe2\x80\x83\n") == 4);  // U+180E is no white space
  CHECK(is_word(0x24b6));
  CHECK(is_word(0x301));
  CHECK(!is_word('-'));
  CHECK(is_numeric(0xbd));
  CHECK(!is_numeric('a'));
  CHECK(last_code_point("a\xe2\x82\xac") == 0x20ac);
}

TEST_CASE("splitting at delimiters") {
  auto split = [](std::string_view text, SplitBehavior behavior) {
    std::string out;
    for (const Span& span : split_pieces(with_gaps(Pattern::literal("-").find_all(text), text.size()), behavior))
      out += (out.empty() ? "" : "|") + std::string(text.substr(span.begin, span.end - span.begin));
    return out;
  };
  CHECK(split("a--b-", SplitBehavior::isolated) == "a|-|-|b|-");
  CHECK(split("a--b-", SplitBehavior::removed) == "a|b");
  CHECK(split("a--b-", SplitBehavior::merged_with_previous) == "a-|-|b-");
  CHECK(split("-a--b-", SplitBehavior::merged_with_next) == "-a|-|-b|-");
  CHECK(split("a--b-", SplitBehavior::contiguous) == "a|--|b|-");
  CHECK(split("", SplitBehavior::isolated).empty());
}

TEST_CASE("patterns see white space as Unicode has it, and empty matches once") {
  auto count = [](std::string_view pattern, std::string_view text) {
    return Regex(pattern, "here").find_all(text).size();
  };
  CHECK(count("\\s", "\xc2\x85 \xe1\xa0\x8e\xe3\x80\x80\t") == 4);
  CHECK(count("\\S", "\xc2\x85 \xe1\xa0\x8e\xe3\x80\x80\t") == 1);
  CHECK(count("[^\\s]", "\xe1\xa0\x8e ") == 1);
  CHECK(count("[\\S]", "\xe1\xa0\x8e ") == 1);
  CHECK(count("a*", "baa\xe2\x82\xac") == 3);
  CHECK(count("\\u00e9|\\x{e9}", "\xc3\xa9") == 1);
  CHECK(to_pcre2("\\xe9").empty());
  CHECK(to_pcre2("\\p{Lu}\\r\\.") == "\\p{Lu}\\r\\.");
}

TEST_CASE("byte spelling") {
  std::string bytes, back;
  for (int i = 0; i < 256; ++i) bytes.push_back(static_cast<char>(i));
  append_byte_level(back, to_byte_level(bytes));
  CHECK(back == bytes);
  CHECK(to_byte_level(" \n") == "\xc4\xa0\xc4\x8a");
  std::string text;
  append_byte_level(text, "\xe2\x82\xac");  // outside the spelling
  CHECK(text == "\xe2\x82\xac");
}
