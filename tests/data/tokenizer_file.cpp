// What a tokenizer's files may say, and how they are refused.
#include "data/tokenizer/tokenizer.h"

#include <fmt/format.h>

#include <filesystem>
#include "tests/io/support.h"

using namespace loragrad;
using namespace loragrad::test;

namespace {

using Ids = std::vector<TokenId>;

const std::string plain_model =
    R"({"type":"BPE","vocab":{"a":0,"b":1,"c":2,"ab":3,"\u2581":4,"\u2581a":5},"merges":["a b",["\u2581","a"]]})";

/// A tokenizer.json of a model and more members, ", "key": value" each.
struct File {
  explicit File(const std::string& members = "", const std::string& model = plain_model) {
    put(path, "{\"version\":\"1.0\",\"model\":" + model + members + "}");
  }
  Tokenizer read() const { return Tokenizer::from_file(path); }
  TempFolder folder;
  std::string path = folder / "tokenizer.json";
};

std::string refusal(const File& file) {
  std::string message = message_of<InputError>([&] { file.read(); });
  CHECK(message.starts_with(file.path + ": "));
  return message.substr(std::min(message.size(), file.path.size() + 2));
}
std::string refused(const std::string& members) { return refusal(File(members)); }
std::string refused_model(const std::string& model) { return refusal(File("", model)); }

std::string token(const std::string& members) { return R"(,"added_tokens":[{"special":true,)" + members + "}]"; }

}  // namespace

TEST_CASE("unknown components and keys are named") {
  CHECK(contains(refused(R"(,"normalizer":{"type":"Precompiled","x":""})"), "normalizer.type: expected a supported"));
  CHECK(contains(refused(R"(,"normalizer":{"type":"Sequence","normalizers":[{"type":"NFC"},{"type":"Lower"}]})"),
                 R"(normalizer.normalizers[1].type: expected a supported normalizer (Sequence, NFC,)"));
  CHECK(contains(refused(R"(,"normalizer":{"type":"NFC","strength":1})"), "normalizer.strength: expected no such key"));
  CHECK(contains(refused(R"(,"pre_tokenizer":{"type":"Whitespace"})"), R"(pre_tokenizer.type: expected a supported)"));
  CHECK(contains(refused(R"(,"decoder":{"type":"WordPiece"})"), R"(found "WordPiece")"));
  CHECK(contains(refused(R"(,"post_processor":{"type":"Other"})"), "post_processor.type: expected a supported"));
  CHECK(contains(refused_model(R"({"type":"Unigram","vocab":[]})"), R"(model.type: expected a supported model (BPE))"));
  CHECK(contains(refused(R"(,"extra":1)"), "extra: expected no such key"));
  CHECK(contains(refused(R"(,"normalizer":{"form":1})"), "normalizer.type: expected this key"));
}

TEST_CASE("patterns") {
  auto split = [](const std::string& pattern) {
    return R"(,"pre_tokenizer":{"type":"Split","pattern":{"Regex":")" + pattern + R"("},"behavior":"Isolated"})";
  };
  CHECK(File(split("a|(?i:B)|[^\\\\S\\\\r]+(?!\\\\S)")).read().encode("ab") == Ids{0, 1});
  CHECK(File().read().encode("ab") == Ids{3});
  for (std::string bad : {"\\\\w+", "[[a]]", "(a", "\\\\h", "a{1,2}+", "[a&&b]", "(*UTF)", "(?x)a", "\\\\", ""})
    CHECK(contains(refused(split(bad)), "pre_tokenizer.pattern.Regex: expected a"));
  CHECK(
      contains(refused(R"(,"pre_tokenizer":{"type":"Split","pattern":{},"behavior":"Isolated"})"), "String or Regex"));
  CHECK(contains(refused(R"(,"pre_tokenizer":{"type":"Split","pattern":{"String":"a"},"behavior":"isolated"})"),
                 "behavior: expected Removed, Isolated"));
  // Grows exponentially with the text: ends with an error, not with patience.
  Tokenizer slow = File(split("(?:a|aa)+c")).read();
  CHECK(contains(message_of<InputError>([&] { slow.encode(std::string(200, 'a') + "!c"); }),
                 "pre_tokenizer.pattern.Regex: the pattern fails on a text"));
}

TEST_CASE("the model") {
  CHECK(
      contains(refused_model(R"({"vocab":{"a":0,"b":0},"merges":[]})"), "model.vocab.b: expected an id that no other"));
  CHECK(contains(refused_model(R"({"vocab":{"a":-1},"merges":[]})"), "model.vocab.a: expected an integer in [0, "));
  CHECK(contains(refused_model(R"({"vocab":{"a":99999999},"merges":[]})"), "model.vocab.a"));
  CHECK(contains(refused_model(R"({"vocab":{"a":1.0},"merges":[]})"), "model.vocab.a"));
  CHECK(contains(refused_model(R"({"vocab":{"a":0},"merges":["a"]})"), "model.merges[0]: expected two tokens"));
  CHECK(contains(refused_model(R"({"vocab":{"a":0},"merges":["a a a"]})"), "model.merges[0]: expected two tokens"));
  CHECK(contains(refused_model(R"({"vocab":{"a":0},"merges":[["a"]]})"), "model.merges[0]: expected a merge"));
  CHECK(
      contains(refused_model(R"({"vocab":{"a":0},"merges":["a z"]})"), "model.merges[0]: expected tokens of the voc"));
  CHECK(contains(refused_model(R"({"vocab":{"a":0},"merges":["a a"]})"), R"(found "aa")"));
  CHECK(
      contains(refused_model(R"({"vocab":{"a":0},"merges":[],"unk_token":"u"})"), "model.unk_token: expected a token"));
  CHECK(contains(refused_model(R"({"vocab":{"a":0},"merges":[],"dropout":0.1})"), "model.dropout: expected null"));
  CHECK(contains(refused_model(R"({"vocab":{"a":0},"merges":[],"fuse_unk":1})"), "model.fuse_unk: expected true or"));
  CHECK(contains(refused_model(R"({"vocab":{"a":0}})"), "model.merges: expected this key"));
  // What older files leave out, and what they write for "none".
  File old("",
           R"({"dropout":null,"continuing_subword_prefix":"","end_of_word_suffix":"","vocab":{"a":0},"merges":[]})");
  CHECK(old.read().encode("aza") == Ids{0, 0});
  CHECK(old.read().decode({0, 0}) == "a a");
}

TEST_CASE("added tokens") {
  File sound(token(R"("id":9,"content":"<s>")"));
  // The next free id, whatever the file says.
  CHECK(sound.read().encode("a<s>b") == Ids{0, 6, 1});
  CHECK(sound.read().vocab_size() == 7);
  CHECK(contains(sound.read().warnings().at(0), "\"<s>\" is said to be 9 and is 6"));
  CHECK(sound.read().decode({7, 0, -1}) == "a");
  CHECK(
      contains(refused(token(R"("id":2,"content":"a")")), R"(added_tokens[0]: expected id 0 for "a", as in the voc)"));
  CHECK(contains(refused(token(R"("id":2,"content":"<s>")")), R"(expected an id that is not "c"'s)"));
  CHECK(
      contains(refused(token(R"("id":9,"content":"x"},{"id":9,"content":"y")")), "added_tokens[1]: expected a token"));
  CHECK(contains(refused(token(R"("id":9,"content":"x"},{"id":10,"content":"x")")), "added_tokens[1]: expected a tok"));
  CHECK(contains(refused(token(R"("id":9,"content":"")")), "added_tokens[0].content: expected a token"));
  CHECK(contains(refused(token(R"("id":9)")), "added_tokens[0].content: expected this key"));
  // White space that a token before has taken is none of its own (values of tokenizers 0.23).
  Tokenizer taken = File(token(R"("id":6,"content":"<s>","rstrip":true},{"id":7,"special":true,"content":" ",)"
                               R"("lstrip":true,"rstrip":true},{"id":8,"special":true,"content":"\n")"))
                        .read();
  CHECK(taken.encode("a<s>   b") == Ids{0, 6, 1});
  CHECK(taken.encode("a   b") == Ids{0, 7, 1});
  CHECK(taken.encode("a<s> \n b") == Ids{0, 6, 8, 7, 1});
  CHECK(contains(refused(token(R"("id":9,"content":"x","trim":true)")), "added_tokens[0].trim: expected no such key"));
}

TEST_CASE("metaspace in its older spelling") {
  auto read = [](const std::string& members) {
    return File(R"(,"pre_tokenizer":{"type":"Metaspace","replacement":"\u2581")" + members + "}").read().encode("a a");
  };
  CHECK(read("") == Ids{5, 5});
  CHECK(read(R"(,"add_prefix_space":true,"str_rep":"\u2581")") == Ids{5, 5});
  CHECK(read(R"(,"add_prefix_space":false)") == Ids{0, 5});
  CHECK(read(R"(,"prepend_scheme":"never","split":false)") == Ids{0, 5});
  CHECK_THROWS_AS(read(R"(,"prepend_scheme":"always","add_prefix_space":false)"), InputError);
  CHECK_THROWS_AS(read(R"(,"prepend_scheme":"last")"), InputError);
  CHECK_THROWS_AS(read(R"(,"str_rep":"_")"), InputError);
}

TEST_CASE("post-processors") {
  auto with = [](const std::string& single, const std::string& specials) {
    return R"(,"post_processor":{"type":"TemplateProcessing","pair":[],"single":[)" + single +
           R"(],"special_tokens":{)" + specials + "}}";
  };
  const std::string c = R"({"SpecialToken":{"id":"c","type_id":0}})", text = R"({"Sequence":{"id":"A","type_id":0}})",
                    special = R"("c":{"id":"c","ids":[2],"tokens":["c"]})";
  CHECK(File(with(c + "," + text + "," + c, special)).read().encode("a") == Ids{2, 0, 2});
  CHECK(contains(refused(with(c + "," + text, "")), "single[0].SpecialToken.id: expected a member of special_tokens"));
  CHECK(contains(refused(with(c, special)), "post_processor.single: expected a template with the sequence"));
  CHECK(
      contains(refused(with(text + "," + text, special)), "single[1].Sequence.id: expected the sequence \"A\", once"));
  CHECK(contains(refused(with(c + "," + text, R"("c":{"id":"c","ids":[77],"tokens":["c"]})")),
                 "special_tokens.c.ids[0]: expected the id of a token, found 77"));
  CHECK(contains(refused(with(c + "," + text, R"("c":{"id":"c","ids":[1],"tokens":["c"]})")),
                 R"(special_tokens.c.tokens[0]: expected token 1, "b", found "c")"));
  std::string bert = R"({"type":"BertProcessing","sep":["b",1],"cls":["c",2]})";
  CHECK(File(",\"post_processor\":" + bert).read().encode("a") == Ids{2, 0, 1});
  CHECK(File(R"(,"post_processor":{"type":"Sequence","processors":[)" + bert + "," + bert + "]}").read().encode("a") ==
        Ids{2, 2, 0, 1, 1});
  CHECK(contains(refused(R"(,"post_processor":{"type":"BertProcessing","sep":["b",0],"cls":["c",2]})"),
                 "expected token"));
}

TEST_CASE("folders") {
  TempFolder folder;
  CHECK(contains(message_of<IoError>([&] { Tokenizer::from_folder(folder.path()); }), "found neither"));
  put(folder / "vocab.json", R"({"a":0,"b":1,"ab":2,"\u0120":3,"</s>":4})");
  CHECK_THROWS_AS(Tokenizer::from_folder(folder.path()), IoError);
  auto merges = [&](const std::string& text) {
    put(folder / "merges.txt", text);
    return Tokenizer::from_folder(folder.path()).encode("ab a</s>");
  };
  CHECK(merges("#version: 0.2\na b\n") == Ids{2, 3, 0});
  CHECK(merges("a b") == Ids{2, 3, 0});
  auto refused_merges = [&](const std::string& text) { return message_of<InputError>([&] { merges(text); }); };
  CHECK(contains(refused_merges("#version: 0.2\na b\na\n"), folder / "merges.txt:3: expected two tokens"));
  CHECK(contains(refused_merges("a z\n"), "merges.txt:1: expected tokens of the vocabulary, found \"z\""));
  CHECK(contains(refused_merges("a b\n\xff a\n"), "expected UTF-8"));
  merges("a b\n");
  auto config = [&](const std::string& text) {
    put(folder / "tokenizer_config.json", text);
    return Tokenizer::from_folder(folder.path()).encode("ab a</s>");
  };
  CHECK(config("{}") == Ids{2, 3, 0});
  CHECK(config(R"({"bos_token":"</s>","eos_token":"</s>"})") == Ids{2, 3, 0, 4});
  CHECK(config(R"({"bos_token":"</s>","add_bos_token":true,"add_prefix_space":true})") == Ids{4, 3, 2, 3, 0, 4});
  CHECK(config(R"({"eos_token":"</s>","add_eos_token":true})") == Ids{2, 3, 0, 4, 4});
  CHECK(config(R"({"added_tokens_decoder":{"9":{"content":"b a","special":false}}})") == Ids{0, 5});
  CHECK(config(R"({"add_bos_token":true})") == Ids{5, 2, 3, 0});  // the class's <|endoftext|>
  CHECK(config(R"({"bos_token":"<s>","eos_token":"</s>"})") == Ids{2, 3, 0, 4});
  CHECK(config(R"({"bos_token":"","add_bos_token":true})") == Ids{2, 3, 0});
  // additional_special_tokens may be a map as extra_special_tokens may, and counts only where that is no list of some.
  CHECK(config(R"({"additional_special_tokens":{"x":"b "}})") == Ids{0, 6, 0});
  CHECK(config(R"({"additional_special_tokens":{}})") == Ids{2, 3, 0});
  CHECK(config(R"({"additional_special_tokens":7,"extra_special_tokens":["b "]})") == Ids{0, 6, 0});
  CHECK(config(R"({"additional_special_tokens":{"x":"b "},"extra_special_tokens":{"y":" a"}})") == Ids{0, 6, 0});
  auto refused_config = [&](const std::string& text) { return message_of<InputError>([&] { config(text); }); };
  CHECK(contains(refused_config(R"({"bos_token":5})"), "tokenizer_config.json: bos_token: expected a token"));
  CHECK(contains(refused_config(R"({"pad_token":{"lstrip":true}})"), "pad_token.content: expected this key"));
  CHECK(contains(refused_config(R"({"extra_special_tokens":"x"})"), "extra_special_tokens: expected a list"));
  CHECK(contains(refused_config(R"({"additional_special_tokens":"x"})"), "additional_special_tokens: expected a list"));
  CHECK(contains(refused_config(R"({"split_special_tokens":"x"})"), "split_special_tokens: expected true or false"));
  CHECK(contains(refused_config(R"({"added_tokens_decoder":{"x":{"content":"q"}}})"), "expected a key that is an id"));
  for (const char* name : {"PreTrainedTokenizerFast", "RobertaTokenizer", "LlamaTokenizer"})
    CHECK(contains(refused_config(fmt::format(R"({{"tokenizer_class":"{}"}})", name)),
                   "tokenizer_class: expected a tokenizer class that reads vocab.json and merges.txt (GPT2Tokenizer"));
  put(folder / "config.json", R"({"model_type":"mistral"})");
  CHECK(contains(refused_config(R"({"tokenizer_class":"GPT2Tokenizer"})"), "config.json: model_type: expected"));
  CHECK(contains(refused_config("{}"), "config.json: model_type: expected a tokenizer class"));
  put(folder / "other.json", R"({"model_type":"opt"})");
  CHECK(Tokenizer::from_folder(folder.path(), folder / "other.json").encode("ab<|endoftext|>") == Ids{2, 5});
}

TEST_CASE("folders without a tokenizer that is read") {
  TempFolder folder;
  CHECK(contains(Tokenizer::lack(folder.path()).value(), "found neither"));
  put(folder / "tokenizer.model", "x");
  CHECK(contains(Tokenizer::lack(folder.path()).value(), "found tokenizer.model alone"));
  CHECK(contains(message_of<IoError>([&] { Tokenizer::from_folder(folder.path()); }), "AutoTokenizer"));
  put(folder / "vocab.json", "{}");
  CHECK(contains(Tokenizer::lack(folder.path()).value(), "found vocab.json without merges.txt"));
  std::filesystem::remove(folder / "vocab.json");
  put(folder / "merges.txt", "");
  CHECK(contains(Tokenizer::lack(folder.path()).value(), "found merges.txt without vocab.json"));
  put(folder / "tokenizer.json", "{}");
  CHECK_FALSE(Tokenizer::lack(folder.path()).has_value());
}
