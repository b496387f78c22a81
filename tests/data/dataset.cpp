#include "data/dataset.h"

#include "tests/io/support.h"

using namespace loragrad;
using namespace loragrad::test;

namespace {

using Ids = std::vector<TokenId>;

/// One data file, read with a tokenizer of bytes (or of a file) and a vocabulary of 257.
struct Data {
  explicit Data(const std::string& content, const std::string& name = "d.jsonl") : path(folder / name) {
    put(path, content);
    options.eos = 256;
    options.vocab_size = 257;
  }
  Dataset read() const { return load_dataset(path, tokenizer ? &*tokenizer : nullptr, options); }
  /// The message of the refusal behind "FILE".
  std::string refusal() const {
    std::string message = message_of<InputError>([&] { read(); });
    CHECK(message.starts_with(path));
    return message.substr(std::min(message.size(), path.size()));
  }
  TempFolder folder;
  std::string path;
  std::optional<Tokenizer> tokenizer = Tokenizer::bytes();
  DatasetOptions options;
};

std::string refused(const std::string& content) { return Data(content).refusal(); }

Tokenizer with_bos() { return Tokenizer::from_file("tests/data/golden/llama2.json"); }

}  // namespace

TEST_CASE("text: loss on every token and the end token") {
  Data data("{\"text\": \"ab\"}\n{\"text\": \"c<|endoftext|>\"}\n");
  Dataset read = data.read();
  CHECK(read.format == "text");
  CHECK(read.rows.size() == 2);
  CHECK(read.rows[0].input_ids == Ids{'a', 'b', 256});
  CHECK(read.rows[0].labels == read.rows[0].input_ids);
  CHECK(read.rows[1].input_ids == Ids{'c', 256});  // already there
  CHECK(read.tokens == 5);
  CHECK(read.supervised_tokens == 3);
  data.options.eos = std::nullopt;
  CHECK(data.read().rows[0].input_ids == Ids{'a', 'b'});
}

TEST_CASE("text keeps the special tokens of the post-processor") {
  Data data("{\"text\": \"the\"}");
  data.tokenizer = with_bos();
  data.options.vocab_size = data.tokenizer->vocab_size();
  data.options.eos = 2;
  Ids ids = data.read().rows[0].input_ids;
  CHECK(ids.front() == 1);
  CHECK(ids.back() == 2);
}

TEST_CASE("prompt and completion: loss on the completion and the end token") {
  Data data(R"({"prompt": "ab", "completion": "cd", "source": "an extra column"})");
  Dataset read = data.read();
  CHECK(read.format == "prompt/completion");
  CHECK(read.rows[0].input_ids == Ids{'a', 'b', 'c', 'd', 256});
  CHECK(read.rows[0].labels == Ids{no_label, no_label, 'c', 'd', 256});
  CHECK(read.supervised_tokens == 3);
  data.tokenizer = with_bos();
  data.options.vocab_size = data.tokenizer->vocab_size();
  data.options.eos = 2;
  Ids expected = data.tokenizer->encode("abcd");
  expected.push_back(2);
  CHECK(data.read().rows[0].input_ids == expected);
}

TEST_CASE("a row chooses an adapter by its name, where there are adapters to choose") {
  Data data(
      "{\"text\": \"a\", \"adapter\": \"sql\"}\n{\"text\": \"b\"}\n{\"adapter\": null, \"text\": \"c\"}\n"
      "{\"text\": \"d\", \"adapter\": \"chat-2\"}\n");
  data.options.adapters = {"chat-2", "sql"};
  Dataset read = data.read();
  CHECK(read.unread_columns.empty());
  std::vector<std::string> chosen;
  for (const Row& row : read.rows) chosen.push_back(row.adapter);
  CHECK(chosen == std::vector<std::string>{"sql", "", "", "chat-2"});
  data.options.adapters->pop_back();
  CHECK(data.refusal() == ":1: adapter: expected null or the name of an adapter (chat-2), found \"sql\"");
  data.options.adapters->clear();
  CHECK(data.refusal() == ":1: adapter: expected null, as no adapter has a name (--adapter NAME=DIR), found \"sql\"");
  // Without any it is a column as others are, and told.
  data.options.adapters.reset();
  CHECK(data.read().unread_columns == std::set<std::string>{"adapter"});
  CHECK(data.read().rows[0].adapter == "");
  for (const char* value : {"1", "true", "\"\"", "[\"a\"]"}) {
    CAPTURE(value);
    Data other("{\"input_ids\": [1, 2]}\n{\"input_ids\": [1, 2], \"adapter\": " + std::string(value) + "}");
    other.options.adapters = {"a"};
    CHECK(other.refusal() == ":2: adapter: expected null or the name of an adapter (a), found " + std::string(value));
  }
}

TEST_CASE("input_ids and labels need no tokenizer and get no end token") {
  Data data("{\"input_ids\": [1, 2, 3]}\n{\"input_ids\": [4, 5], \"labels\": [-100, 6]}\n");
  data.tokenizer.reset();
  Dataset read = data.read();
  CHECK(read.format == "input_ids");
  CHECK(read.rows[0].labels == Ids{1, 2, 3});
  CHECK(read.rows[1].labels == Ids{no_label, 6});
  CHECK(read.supervised_tokens == 3);
  CHECK(contains(refused("{\"input_ids\":[1,2]}\n{\"input_ids\":[1,257]}"),
                 ":2: input_ids[1]: expected an integer in [0, 256], found 257"));
  CHECK(contains(refused(R"({"input_ids":[1,-1]})"), ":1: input_ids[1]: expected"));
  CHECK(contains(refused(R"({"input_ids":[1,2.0]})"), ":1: input_ids[1]: expected"));
  CHECK(
      contains(refused(R"({"input_ids":[1,2],"labels":[1]})"), ":1: labels: expected as many labels as input_ids, 2"));
  CHECK(contains(refused(R"({"input_ids":[1,2],"labels":[1,-1]})"),
                 ":1: labels[1]: expected an integer in [0, 256], or -100"));
  CHECK(contains(refused(R"({"input_ids":[]})"), ":1: expected a row of at least one token"));
  Data text(R"({"text": "a"})");
  text.tokenizer.reset();
  CHECK(contains(text.refusal(), ":1: text: expected input_ids, as the model has no tokenizer"));
}

TEST_CASE("a row that is too long loses its end, end token and all, and is counted") {
  Data data("{\"text\": \"abcd\"}\n{\"text\": \"abc\"}\n");
  data.options.seq_len = 4;
  Dataset read = data.read();
  CHECK(read.rows[0].input_ids == Ids{'a', 'b', 'c', 'd'});
  CHECK(read.rows[1].input_ids == Ids{'a', 'b', 'c', 256});
  CHECK(read.cut_rows == 1);
  CHECK(read.tokens == 8);
  data.options.seq_len = 5;
  CHECK(data.read().cut_rows == 0);
}

TEST_CASE("a .txt file is cut into rows that start as a text starts") {
  Data data("abcdefg", "d.txt");
  data.options.seq_len = 3;
  Dataset read = data.read();
  CHECK(read.format == "txt");
  CHECK(read.rows.size() == 2);  // "g" alone is dropped
  CHECK(read.rows[1].input_ids == Ids{'d', 'e', 'f'});
  CHECK(read.rows[1].labels == Ids{'d', 'e', 'f'});
  CHECK(read.cut_rows == 0);
  data.tokenizer = with_bos();
  data.options.vocab_size = data.tokenizer->vocab_size();
  Ids ids = data.tokenizer->encode("abcdefg", false);
  read = data.read();
  Ids joined;
  for (const Row& row : read.rows) {
    CHECK(row.input_ids.size() <= 3);
    CHECK(row.input_ids[0] == 1);
    joined.insert(joined.end(), row.input_ids.begin() + 1, row.input_ids.end());
  }
  CHECK(joined == ids);
  data.options.seq_len = 1;
  CHECK_THROWS_AS(data.read(), UsageError);
  data.options.seq_len = 3;
  data.options.vocab_size = 10;
  // The tokenizer has tokens that the model does not.
  std::string message = message_of<InputError>([&] { data.read(); });
  CHECK(message.starts_with("tests/data/golden/llama2.json: \""));
  CHECK(contains(message, "\": expected an id below the model's vocab_size, 10, found "));
  CHECK(message.ends_with(" (in " + data.path + ")"));
  data.tokenizer.reset();
  CHECK(contains(data.refusal(), "expected a .jsonl file with input_ids"));
}

TEST_CASE("formats are told from the first row and not mixed") {
  CHECK(contains(refused("{\"text\":\"a\"}\n{\"prompt\":\"a\",\"completion\":\"b\"}"),
                 ":2: expected a row of text as the first one, not of prompt/completion"));
  CHECK(contains(refused(R"({"text":"a","input_ids":[1]})"),
                 ":1: expected a row of one format, not of text and input_ids"));
  CHECK(contains(refused("{\"text\":\"a\"}\n\n{\"other\":\"b\"}"), ":3: text: expected this key"));
  CHECK(contains(refused(R"({"prompt":"a"})"), ":1: completion: expected this key"));
  CHECK(contains(refused(R"({"completion":"a"})"), ":1: prompt: expected this key"));
  CHECK(contains(refused(R"({"other":"a"})"), ":1: expected an object with text, prompt and completion, messages"));
  CHECK(contains(refused("[1]"), ":1: expected an object with text"));
  CHECK(contains(refused(R"({"messages":[{"role":"user"}]})"), ":1: messages: expected a chat template"));
  CHECK(contains(refused("{\"text\":\"ab\"}\n{\"text\":7}"), ":2: text: expected a string, found 7"));
  CHECK(contains(refused(R"({"text":null})"), ":1: text: expected a string, found null"));
}

TEST_CASE("bad bytes and bad JSON are reported by line; a byte order mark and empty lines are no error") {
  CHECK(contains(refused("{\"text\":\"ab\"}\n{\"text\":\"a\xff\"}\n"), ":2: expected UTF-8, found byte 0xff"));
  CHECK(contains(refused("{\"text\":\"ab\"}\n{\"text\":\"b\"\n"), ":2: "));
  CHECK(contains(refused("{\"text\":\"ab\",\"text\":\"b\"}"), ":1: "));
  CHECK(contains(Data("a\n\n\x80", "d.txt").refusal(), ":3: expected UTF-8, found byte 0x80"));
  CHECK(Data("\xef\xbb\xbf{\"text\":\"ab\"}\r\n\r\n{\"text\":\"c\"}").read().rows.size() == 2);
  CHECK(Data("\xef\xbb\xbf"
             "ab",
             "d.txt")
            .read()
            .rows[0]
            .input_ids == Ids{'a', 'b'});
}

TEST_CASE("nothing to learn from is an error") {
  CHECK(contains(refused(""), ": expected at least one row, found none"));
  CHECK(contains(refused(" \n\n"), ": expected at least one row, found none"));
  CHECK(contains(Data("a", "d.txt").refusal(), ": expected at least one row, found none"));
  CHECK(contains(refused(R"({"input_ids":[1,2],"labels":[1,-100]})"),
                 ": expected at least one supervised token in 1 rows"));
  Data data(R"({"text":""})");
  data.options.eos = std::nullopt;
  CHECK(contains(data.refusal(), ":1: expected a row of at least one token"));
  Data small(R"({"text":"ab"})");
  small.options.vocab_size = 256;
  CHECK(contains(small.refusal(), ":1: text: expected token ids below the model's vocabulary of 256, found 256"));
  CHECK(contains(Data("a", "d.csv").refusal(), ": expected a .jsonl or .txt file, found \".csv\""));
}

TEST_CASE("supervised tokens are counted after the shift by one") {
  CHECK(supervised_tokens({{1, 2, 3}, {1, 2, 3}}) == 2);
  CHECK(supervised_tokens({{1, 2}, {1, no_label}}) == 0);
  CHECK(supervised_tokens({}) == 0);
}

TEST_CASE("a path is a file, or a folder with a file for each split") {
  TempFolder folder;
  put(folder / "train.jsonl", "x");
  CHECK(dataset_file(folder.path(), "train") == folder / "train.jsonl");
  CHECK(dataset_file(folder / "train.jsonl", "valid") == folder / "train.jsonl");
  CHECK(contains(message_of<IoError>([&] { dataset_file(folder.path(), "valid"); }),
                 "expected valid.jsonl in this folder"));
  CHECK_THROWS_AS(dataset_file(folder / "none", "train"), IoError);
  CHECK_THROWS_AS(load_dataset(folder / "none.jsonl", nullptr, Data("").options), IoError);
}
