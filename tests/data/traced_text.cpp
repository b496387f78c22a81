// What of a text each token stands for.
#include "data/tokenizer/traced_text.h"

#include <ctime>

#include "data/tokenizer/normal_form.h"
#include "data/tokenizer/tokenizer.h"
#include "data/unicode.h"
#include "io/json.h"
#include "tests/io/support.h"

using namespace loragrad;
using namespace loragrad::test;

namespace {

using Ids = std::vector<TokenId>;

Encoding encoded(const std::string& members, const std::string& model, const std::string& text) {
  TempFolder folder;
  std::string path = folder / "tokenizer.json";
  put(path, "{\"version\":\"1.0\"" + members + ",\"model\":" + model + "}");
  return Tokenizer::from_file(path).encode_with_spans(text);
}

/// "begin-end" of each token, with spaces between.
std::string spans_of(const Encoding& encoding) {
  CHECK(encoding.ids.size() == encoding.spans.size());
  std::string out;
  for (const TextSpan& span : encoding.spans)
    out += (out.empty() ? "" : " ") + std::to_string(span.begin) + "-" + std::to_string(span.end);
  return out;
}

std::string spans(const std::string& members, const std::string& text) {
  const std::string model =
      R"({"type":"BPE","unk_token":"?","vocab":{"?":0,"a":1,"b":2,"c":3,"ab":4,"x":5,"y":6,"xy":7},"merges":["a b","x y"]})";
  return spans_of(encoded(members, model, text));
}

std::string replace(const std::string& pattern, const std::string& content) {
  return R"({"type":"Replace","pattern":{)" + pattern + R"(},"content":")" + content + "\"}";
}
std::string normalizer(const std::string& steps) {
  return R"(,"normalizer":{"type":"Sequence","normalizers":[)" + steps + "]}";
}

std::vector<std::size_t> sources(std::string_view text, NormalForm form) {
  std::vector<std::size_t> places;
  std::string out = normal_form(text, form, &places);
  CHECK(out == normal_form(text, form));
  CHECK(places.size() == out.size());
  return places;
}

}  // namespace

TEST_CASE("tokens stand for the characters that make_spans_golden.py finds") {
  int styles = 0;
  for (const auto& entry : std::filesystem::directory_iterator("tests/data/golden/spans")) {
    if (entry.path().extension() != ".jsonl") continue;
    ++styles;
    std::string name = entry.path().stem().string() + ".json", file = "tests/data/golden/spans/" + name;
    Tokenizer tokenizer = Tokenizer::from_file(std::filesystem::exists(file) ? file : "tests/data/golden/" + name);
    std::istringstream lines(get(entry.path().string()));
    for (std::string line; std::getline(lines, line);) {
      CAPTURE(name);
      CAPTURE(line);
      Json json = parse_json(line, name);
      JsonRef row(json, name);
      Encoding encoding = tokenizer.encode_with_spans(row[0].string());
      CHECK(encoding.ids == tokenizer.encode(row[0].string(), false));
      Ids ids;
      for (const JsonRef& id : row[1].elements()) ids.push_back(static_cast<TokenId>(id.integer(0, 1 << 24)));
      CHECK(encoding.ids == ids);
      std::vector<std::int64_t> expected, found;
      for (const JsonRef& bound : row[2].elements()) expected.push_back(bound.integer(0, 1 << 24));
      for (const TextSpan& span : encoding.spans)
        found.insert(found.end(), {static_cast<std::int64_t>(span.begin), static_cast<std::int64_t>(span.end)});
      CHECK(found == expected);
    }
  }
  CHECK(styles == 13);
}

TEST_CASE("replaced text stands for the first character that it came from") {
  CHECK(spans(normalizer(replace(R"("String":"c")", "ab")), "aca") == "0-1 1-2 2-3");
  CHECK(spans(normalizer(replace(R"("String":"c")", "xx")), "c") == "0-1 0-1");
  CHECK(spans(normalizer(replace(R"("Regex":"c+")", "x")), "acca") == "0-1 1-2 3-4");
  // An empty match is put before the next character; at the end, where none is, behind the last.
  CHECK(spans(normalizer(replace(R"("Regex":"^")", "x")), "ca") == "0-1 0-1 1-2");
  CHECK(spans(normalizer(replace(R"("Regex":"$")", "x")), "ca") == "0-1 1-2 1-2");
  // Nothing is left that it could stand for.
  std::string empty = R"({"type":"Strip","strip_left":true,"strip_right":true},)" + replace(R"("Regex":"^")", "x");
  CHECK(spans(normalizer(empty), "  ") == "0-0");
  // A token across what was taken out: from its first character to its last.
  CHECK(spans(normalizer(replace(R"("String":"c")", "")), "acb") == "0-3");
  CHECK(spans(normalizer(R"({"type":"Prepend","prepend":"x"},)" + replace(R"("String":"xc")", "y")), "cab") ==
        "0-1 1-3");
}

TEST_CASE("unknown characters, alone and fused, bytes and affixes") {
  CHECK(spans("", "a\u20acb") == "0-1 1-4 4-5");
  Tokenizer affixes = Tokenizer::from_file("tests/data/golden/affixes.json");
  CHECK(spans_of(affixes.encode_with_spans("abb-ab--ba")) == "0-2 2-3 3-4 4-5 5-6 6-7 7-8 8-9 9-10");
  CHECK(spans_of(affixes.encode_with_spans("xyz a")) == "0-1 1-2 2-3 4-5");
  CHECK(spans_of(affixes.encode_with_spans("aabcdcab dd")) == "0-1 1-2 2-3 3-4 4-5 5-6 6-8 9-10 10-11");
  const std::string bytes =
      R"({"type":"BPE","unk_token":"?","fuse_unk":true,"byte_fallback":true,"merges":["<0xC3> <0xA9>"],
      "vocab":{"?":0,"a":1,"<0xC3>":2,"<0xA9>":3,"<0xC3><0xA9>":4,"<0xAA>":5}})";
  CHECK(spans_of(encoded("", bytes, "xyza")) == "0-3 3-4");
  CHECK(spans_of(encoded("", bytes, "a\u00e9a\u00ea")) == "0-1 1-3 3-4 4-6 4-6");
  // The library puts bytes before an unknown token that waits to be fused.
  Encoding late = encoded("", bytes, "x\u00eay");
  CHECK(late.ids == Ids{2, 5, 0});
  CHECK(spans_of(late) == "1-3 1-3 0-4");
  const std::string dropped = R"({"type":"BPE","vocab":{"a":0,"b":1,"ab":2},"merges":["a b"]})";
  CHECK(spans_of(encoded("", dropped, "axbx")) == "0-3");
  const std::string whole = R"({"type":"BPE","ignore_merges":true,"vocab":{"a":0,"aaa":1},"merges":[]})";
  CHECK(spans_of(encoded("", whole, "aaa")) == "0-3");
}

TEST_CASE("characters of normal forms") {
  using Places = std::vector<std::size_t>;
  CHECK(sources("ab", NormalForm::nfc) == Places{0, 1});
  CHECK(sources("xe\u0301y", NormalForm::nfc) == Places{0, 1, 1, 4});
  CHECK(sources("\u00e9", NormalForm::nfd) == Places{0, 0, 0});
  CHECK(sources("\ufb01n", NormalForm::nfkc) == Places{0, 0, 3});
  CHECK(sources("\u1100\u1161\u11a8x", NormalForm::nfc) == Places{0, 0, 0, 9});
  // e, above, below: below goes first and both are taken in (U+1EB9, then the mark above is left).
  CHECK(sources("e\u0307\u0323", NormalForm::nfc) == Places{0, 0, 0, 1, 1});
  CHECK(sources("q\u0307\u0323", NormalForm::nfd) == Places{0, 3, 3, 1, 1});
  // Characters with marks before and behind them that are sorted, taken in or blocked; of the many alike some.
  for (char32_t code = 1; code < 0x30000; code += (code >= 0x3400 && code < 0xf900) || code >= 0x12000 ? 7 : 1) {
    if (code >= 0xd800 && code < 0xe000) continue;
    std::string text = "o\u0302", character;
    append_utf8(character, code);
    text += character + "\u0327\u0301" + character + "\u0308";
    for (NormalForm form : {NormalForm::nfc, NormalForm::nfd, NormalForm::nfkc, NormalForm::nfkd}) {
      std::vector<std::size_t> places;
      std::string out = normal_form(text, form, &places);
      bool right = places.size() == out.size() && places[0] == 0;
      for (std::size_t at = 0; right && at < out.size(); ++at)
        right = (static_cast<unsigned char>(text[places[at]]) & 0xc0) != 0x80 &&
                ((static_cast<unsigned char>(out[at]) & 0xc0) != 0x80 || places[at] == places[at - 1]);
      if (!right) FAIL("U+" << std::hex << static_cast<std::uint32_t>(code));
    }
  }
  std::string marks = "a";
  for (int i = 0; i < 100000; ++i) marks += "\u0307\u0323";
  CHECK(sources(marks, NormalForm::nfc).size() > 100000);
}

TEST_CASE("a long text with spans takes time and memory in proportion") {
  std::string text;
  while (text.size() < (1 << 20)) text += "the caf\u00e9 and the hen ";
  for (std::string style : {"gpt2", "llama2", "qwen2"}) {
    Tokenizer tokenizer = Tokenizer::from_file("tests/data/golden/" + style + ".json");
    std::clock_t begin = std::clock();
    Encoding encoding = tokenizer.encode_with_spans(text);
    CHECK(static_cast<double>(std::clock() - begin) / CLOCKS_PER_SEC < 5);
    CHECK(encoding.spans.front().begin == 0);
    CHECK(encoding.spans.back().end == text.size());
  }
}
