// A tokenizer file whose steps make a text longer and longer is stopped.
#include "data/tokenizer/growth_limit.h"

#include "data/tokenizer/tokenizer.h"
#include "tests/io/support.h"

using namespace loragrad;
using namespace loragrad::test;

namespace {

std::string repeated(const std::string& step, int count) {
  std::string out;
  for (int i = 0; i < count; ++i) out += (i > 0 ? "," : "") + step;
  return out;
}

struct File {
  explicit File(const std::string& members) {
    put(path, R"({"version":"1.0","model":{"type":"BPE","vocab":{"a":0,"b":1},"merges":[]})" + members + "}");
  }
  /// The message behind "FILE: " of what stops it.
  std::string stopped(const std::string& text) const {
    std::string message = message_of<InputError>([&] {
      Tokenizer tokenizer = Tokenizer::from_file(path);
      tokenizer.decode(tokenizer.encode(text));
    });
    CHECK(message.starts_with(path + ": "));
    return message.substr(std::min(message.size(), path.size() + 2));
  }
  TempFolder folder;
  std::string path = folder / "tokenizer.json";
};

const std::string twice = R"({"type":"Replace","pattern":{"String":"a"},"content":"aa"})";

std::string normalizers(const std::string& steps) {
  return R"(,"normalizer":{"type":"Sequence","normalizers":[)" + steps + "]}";
}

}  // namespace

TEST_CASE("the limit is a hundred times the text, and a MiB for short ones") {
  GrowthLimit limit(3);
  limit.check(300 + (1 << 20), "here");
  CHECK(message_of<InputError>([&] { limit.check(301 + (1 << 20), "here"); }) ==
        "here: expected at most 1048876 bytes from a text of 3, found more");
  limit.add(300);
  limit.check(1 << 20, "here");
  CHECK_THROWS_AS(limit.check((1 << 20) + 1, "here"), InputError);
}

TEST_CASE("normalizers that explode are named") {
  File file(normalizers(repeated(twice, 60)));
  CHECK(contains(file.stopped("a"),
                 "normalizer.normalizers[20]: expected at most 1048676 bytes from a text of 1, found"));
  // Texts that it does not touch are as they were.
  CHECK(Tokenizer::from_file(file.path).encode("bb") == std::vector<TokenId>{1, 1});
  CHECK_THROWS_AS(Tokenizer::from_file(file.path).encode_with_spans("a"), InputError);
  std::string megabyte(1 << 20, 'a');
  CHECK(contains(File(normalizers(R"({"type":"Replace","pattern":{"Regex":""},"content":"x"})")).stopped("a"),
                 "pattern that is not empty"));
  CHECK(contains(File(normalizers(R"({"type":"Replace","pattern":{"String":"a"},"content":")" + megabyte + "\"}"))
                     .stopped(megabyte),
                 "normalizer.normalizers[0]: expected at most"));
  CHECK(contains(File(normalizers(repeated(R"({"type":"Prepend","prepend":")" + megabyte + "\"}", 2))).stopped("b"),
                 "normalizer.normalizers[1]: expected at most"));
  // Many pieces between added tokens, each of which stays small.
  std::string text;
  for (int i = 0; i < 1000; ++i) text += "ba";
  std::string added = R"(,"added_tokens":[{"id":1,"content":"b","special":true}])";
  CHECK(contains(File(added + normalizers(repeated(twice, 12))).stopped(text), "normalizer.normalizers["));
  // A token that is sought in normalised text is normalised when the file is read.
  CHECK(
      contains(File(R"(,"added_tokens":[{"id":2,"content":"aa","normalized":true}])" + normalizers(repeated(twice, 60)))
                   .stopped(""),
               "normalizer.normalizers["));
}

TEST_CASE("pre-tokenizers and decoders that explode are named") {
  const std::string bytes = R"({"type":"ByteLevel","add_prefix_space":false,"use_regex":false})";
  CHECK(contains(
      File(R"(,"pre_tokenizer":{"type":"Sequence","pretokenizers":[)" + repeated(bytes, 60) + "]}").stopped("\u00e9"),
      "pre_tokenizer.pretokenizers["));
  auto metaspace = [](const std::string& replacement) {
    return R"({"type":"Metaspace","prepend_scheme":"always","replacement":")" + replacement + "\"}";
  };
  std::string spaces = metaspace("x") + "," + metaspace("y");
  CHECK(contains(File(R"(,"decoder":{"type":"Sequence","decoders":[)" + repeated(twice, 60) + "]}").stopped("a"),
                 "decoder.decoders["));
}

TEST_CASE("affixes of the model are short") {
  TempFolder folder;
  std::string path = folder / "tokenizer.json";
  for (std::string key : {"continuing_subword_prefix", "end_of_word_suffix"}) {
    put(path, R"({"version":"1.0","model":{"type":"BPE","vocab":{},"merges":[],")" + key + "\":\"" +
                  std::string(101, '#') + "\"}}");
    CHECK(contains(message_of<InputError>([&] { Tokenizer::from_file(path); }), key + ": expected at most 100 bytes"));
  }
}

TEST_CASE("the explosive file of the stress inputs") {
  std::string file = shared("faults/stress/tok-double/tokenizer.json");
  if (file.empty()) return;
  Tokenizer tokenizer = Tokenizer::from_file(file);
  CHECK(contains(message_of<InputError>([&] { tokenizer.encode("a cat"); }), file + ": normalizer.normalizers["));
}
