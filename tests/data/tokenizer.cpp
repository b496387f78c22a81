#include "data/tokenizer/tokenizer.h"

#include <algorithm>
#include <ctime>
#include <numeric>

#include "io/json.h"
#include "tests/io/support.h"
#include "tests/sanitizers/sanitizers.h"

using namespace loragrad;
using namespace loragrad::test;

namespace {

using Ids = std::vector<TokenId>;

Ids ids_of(const JsonRef& json) {
  Ids ids;
  for (const JsonRef& id : json.elements()) ids.push_back(static_cast<TokenId>(id.integer(0, 1 << 30)));
  return ids;
}

std::vector<std::string> lines_of(const std::string& path) {
  std::vector<std::string> lines;
  std::istringstream in(get(path));
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  return lines;
}

/// The texts of a vector file, which stand between separator lines.
std::vector<std::string> vector_texts(const std::string& path) {
  const std::string separator = "\n__ggml_vocab_test__\n";
  std::string all = get(path);
  std::vector<std::string> texts;
  for (std::size_t begin = 0; begin < all.size();) {
    std::size_t end = std::min(all.find(separator, begin), all.size());
    texts.push_back(all.substr(begin, end - begin));
    begin = end + separator.size();
  }
  return texts;
}

Ids numbers(std::string text) {
  std::replace(text.begin(), text.end(), ',', ' ');
  std::istringstream in(text);
  Ids ids;
  for (TokenId id; in >> id;) ids.push_back(id);
  return ids;
}

/// Encodes the published texts; returns how many there were.
std::size_t check_vectors(const Tokenizer& tokenizer, const std::string& base) {
  std::vector<std::string> texts = vector_texts(base + ".inp"), answers = lines_of(base + ".out");
  REQUIRE(answers.size() >= texts.size());
  for (std::size_t i = 0; i < texts.size(); ++i) {
    CAPTURE(texts[i]);
    CHECK(tokenizer.encode(texts[i], false) == numbers(answers[i]));
    CHECK(tokenizer.decode(numbers(answers[i])) == texts[i]);
  }
  return texts.size();
}

void check_speed(const Tokenizer& tokenizer, const std::string& text) {
  std::clock_t begin = std::clock();  // of the processor: others may keep it busy
  Ids ids = tokenizer.encode(text);
  double seconds = static_cast<double>(std::clock() - begin) / CLOCKS_PER_SEC;
  CHECK(!ids.empty());
  CHECK_MESSAGE(seconds < (is_sanitized ? 20 : 1),
                text.size() << " bytes to " << ids.size() << " tokens in " << seconds << " s");
}

}  // namespace

TEST_CASE("small tokenizers of every style give what the tokenizers library gives") {
  int styles = 0;
  for (const auto& entry : std::filesystem::directory_iterator("tests/data/golden")) {
    if (entry.path().extension() != ".json") continue;
    ++styles;
    Tokenizer tokenizer = Tokenizer::from_file(entry.path().string());
    std::string cases = std::filesystem::path(entry.path()).replace_extension(".cases.jsonl").string();
    for (const std::string& line : lines_of(cases)) {
      CAPTURE(entry.path().string());
      CAPTURE(line);
      Json json = parse_json(line, cases);
      JsonRef row(json, cases);
      const std::string& text = row[0].string();
      CHECK(tokenizer.encode(text) == ids_of(row[1]));
      CHECK(tokenizer.encode(text, false) == ids_of(row[2]));
      CHECK(tokenizer.decode(ids_of(row[1])) == row[3].string());
      CHECK(tokenizer.decode(ids_of(row[1]), false) == row[4].string());
    }
  }
  CHECK(styles == 12);
}

TEST_CASE("600 strings for each published style") {
  std::string folder = shared("golden/tokenizers");
  if (folder.empty()) return;
  int styles = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    ++styles;
    std::string style = entry.path().filename().string(), cases = entry.path() / "cases.jsonl";
    Tokenizer tokenizer = Tokenizer::from_folder(entry.path().string());
    std::vector<std::string> lines = lines_of(cases);
    CHECK(lines.size() >= 600);
    for (const std::string& line : lines) {
      CAPTURE(style);
      CAPTURE(line);
      Json json = parse_json(line, cases);
      JsonRef row(json, cases);
      const std::string& text = row.at("text").string();
      Ids ids = ids_of(row.at("ids"));
      CHECK(tokenizer.encode(text) == ids);
      CHECK(tokenizer.encode(text, false) == ids_of(row.at("ids_plain")));
      CHECK(tokenizer.decode(ids) == row.at("decoded").string());
    }
  }
  CHECK(styles == 9);
}

TEST_CASE("published vectors for GPT-2's vocabulary") {
  std::string file = shared("data/gpt2-tokenizer/tokenizer.json"), vectors = shared("data/tokenizer-vectors");
  if (file.empty() || vectors.empty()) return;
  Tokenizer tokenizer = Tokenizer::from_file(file);
  CHECK(tokenizer.vocab_size() == 50257);
  CHECK(tokenizer.id_of("<|endoftext|>") == 50256);
  CHECK(tokenizer.encode("a<|endoftext|>") == Ids{64, 50256});
  CHECK(check_vectors(tokenizer, vectors + "/ggml-vocab-gpt-2.gguf") == 46);
  int sentences = 0;
  for (const std::string& line : lines_of(vectors + "/ggml-gpt-2.txt")) {
    std::size_t arrow = line.rfind(" => ");
    if (arrow == std::string::npos) continue;
    ++sentences;
    CAPTURE(line);
    CHECK(tokenizer.encode(line.substr(0, arrow)) == numbers(line.substr(arrow + 4)));
  }
  CHECK(sentences == 100);
}

TEST_CASE("OPT's files: vocab.json, merges.txt and the special tokens of tokenizer_config.json") {
  std::string opt = shared("data/opt-tokenizer"), vectors = shared("data/tokenizer-vectors");
  if (opt.empty() || vectors.empty()) return;
  TempFolder folder;
  put(folder / "vocab.json", get(opt + "/gpt2-vocab.json"));
  put(folder / "merges.txt", get(opt + "/gpt2-merges.txt"));
  Tokenizer plain = Tokenizer::from_folder(folder.path());
  CHECK(check_vectors(plain, vectors + "/ggml-vocab-roberta-bpe.gguf") == 46);
  CHECK(plain.encode("Hello world") == Ids{31414, 232});
  CHECK(plain.encode("</s>").size() > 1);
  put(folder / "tokenizer_config.json", R"({"add_bos_token": true, "bos_token": {"content": "</s>", "normalized": true},
                                            "pad_token": "<pad>", "model_max_length": 2048})");
  Tokenizer opened = Tokenizer::from_folder(folder.path());
  CHECK(opened.encode("Hello world") == Ids{2, 31414, 232});
  CHECK(opened.encode("Hello world", false) == Ids{31414, 232});
  CHECK(opened.encode("a<pad></s>") == Ids{2, 102, 1, 2});
  CHECK(opened.decode({2, 31414, 232}) == "Hello world");
  CHECK(opened.source() == folder / "vocab.json");
}

TEST_CASE("the Llama of stories260k") {
  std::string folder = shared("data/stories260k");
  if (folder.empty()) return;
  Tokenizer tokenizer = Tokenizer::from_folder(folder);
  CHECK(tokenizer.vocab_size() == 512);
  std::string text = "Once upon a time, there was a little girl named Lily. \xe2\x82\xac";
  Ids ids = tokenizer.encode(text);
  CHECK(ids.front() == 1);
  CHECK(tokenizer.decode(ids) == text);
}

TEST_CASE("bytes: one token a byte, and an end") {
  Tokenizer tokenizer = Tokenizer::bytes();
  CHECK(tokenizer.vocab_size() == 257);
  CHECK(tokenizer.source().empty());
  CHECK(tokenizer.encode("h\xc3\xa9 \n") == Ids{'h', 0xc3, 0xa9, ' ', '\n'});
  CHECK(tokenizer.decode({'h', 0xc3, 0xa9, ' ', '\n', 256}) == "h\xc3\xa9 \n");
  CHECK(tokenizer.decode({0xc3, 'h'}) == "\xef\xbf\xbdh");
  CHECK(tokenizer.encode("<|endoftext|>") == Ids{256});
  Ids all(257);
  std::iota(all.begin(), all.end(), 0);
  CHECK(tokenizer.decode(all).size() > 256);
  CHECK(tokenizer.decode({97, 257, -1, 98}) == "ab");  // ids without a token
  CHECK(contains(message_of<InputError>([&] { tokenizer.encode("ab\xff"); }), "byte 3: expected UTF-8, found 0xff"));
}

TEST_CASE("a line of 1 MB without spaces") {
  std::string letters, spaces(1 << 20, ' '), runs;
  std::uint32_t state = 1;
  while (letters.size() < (1 << 20))
    letters += static_cast<char>('a' + ((state = state * 1664525 + 1013904223) >> 24) % 26);
  while (runs.size() < (1 << 20)) runs += "hehethethe";
  for (std::string style : {"gpt2", "llama2", "gemma3"}) {
    Tokenizer tokenizer = Tokenizer::from_file("tests/data/golden/" + style + ".json");
    for (const std::string& text : {letters, spaces, spaces + "x", runs}) check_speed(tokenizer, text);
  }
  check_speed(Tokenizer::bytes(), letters);
  if (std::string file = shared("data/gpt2-tokenizer/tokenizer.json"); !file.empty()) {
    Tokenizer gpt2 = Tokenizer::from_file(file);
    check_speed(gpt2, letters);
  }
}
