// Which tokens of a row are there, and which rows are left with something to learn.
#include "data/dataset.h"
#include "tests/io/support.h"

using namespace loragrad;
using namespace loragrad::test;

namespace {

using Ids = std::vector<TokenId>;

/// One file of pre-tokenised rows, for a vocabulary of 300.
struct Rows {
  explicit Rows(const std::string& content) : path(folder / "d.jsonl") {
    put(path, content);
    options.vocab_size = 300;
  }
  Dataset read() const { return load_dataset(path, nullptr, options); }
  std::string refusal() const {
    std::string message = message_of<InputError>([&] { read(); });
    CHECK(message.starts_with(path));
    return message.substr(std::min(message.size(), path.size()));
  }
  TempFolder folder;
  std::string path;
  DatasetOptions options;
};

Row only_row(const std::string& content) { return Rows(content).read().rows.at(0); }
std::string refused(const std::string& content) { return Rows(content).refusal(); }

}  // namespace

TEST_CASE("tokens masked out are as if they had not been there: left, right, in the middle, with their labels") {
  Row row = only_row(
      R"({"input_ids":[9,9,1,2,9,3,4,9],"attention_mask":[0,0,1,1,0,1,1,0],"labels":[7,-100,-100,2,8,3,4,6]})");
  CHECK(row.input_ids == Ids{1, 2, 3, 4});
  CHECK(row.labels == Ids{no_label, 2, 3, 4});
  CHECK(only_row(R"({"input_ids":[1,2],"attention_mask":[1,1]})").input_ids == Ids{1, 2});
}

TEST_CASE("a mask counts without labels too, and null columns are absent ones") {
  for (const char* labels : {"", R"(,"labels":null)"}) {
    Row row = only_row(std::string(R"({"input_ids":[9,1,2],"attention_mask":[0,1,1])") + labels + "}");
    CHECK(row.input_ids == Ids{1, 2});
    CHECK(row.labels == Ids{1, 2});
  }
  CHECK(only_row(R"({"input_ids":[9,1,2],"attention_mask":null})").input_ids == Ids{9, 1, 2});
}

TEST_CASE("what is masked out is not counted and not looked at; the rest is cut after it is gone") {
  // Pads beyond the vocabulary: a tokenizer with a pad token that the model never got.
  Rows rows(R"({"input_ids":[300,-1,1,2,3],"attention_mask":[false,false,true,true,true],"labels":[999,null,1,2,3]})");
  rows.options.seq_len = 3;
  Dataset data = rows.read();
  CHECK(data.tokens == 3);
  CHECK(data.supervised_tokens == 2);
  CHECK(data.cut_rows == 0);
  CHECK(contains(refused(R"({"input_ids":[300,1],"attention_mask":[1,1]})"), ":1: input_ids[0]: expected an integer"));
}

TEST_CASE("a mask is zeros and ones, one for each token, and leaves one") {
  auto mask = [](const std::string& text) { return refused(R"({"input_ids":[1,2,3],"attention_mask":)" + text + "}"); };
  CHECK(contains(mask("[1,1]"), ":1: attention_mask: expected as many entries as input_ids, 3"));
  CHECK(contains(mask("[]"), ":1: attention_mask: expected as many entries as input_ids, 3"));
  CHECK(contains(mask("[1,2,2]"), ":1: attention_mask[1]: expected 0 or 1, found 2"));  // packing's numbers
  CHECK(contains(mask("[1,1.0,1]"), ":1: attention_mask[1]: expected 0 or 1, found 1.0"));
  CHECK(contains(mask("[1,null,1]"), ":1: attention_mask[1]: expected 0 or 1, found null"));
  CHECK(contains(mask("[[1,1,1],1,1]"), ":1: attention_mask[0]: expected 0 or 1, found [1, 1, 1]"));
  CHECK(contains(mask("1"), ":1: attention_mask: expected a list"));
  CHECK(contains(mask("[0,0,0]"), ":1: attention_mask: expected a mask that leaves a token, found [0, 0, 0]"));
}

TEST_CASE(
    "rows that lose all their supervised tokens are told from those that lose their end, and from those without") {
  const char* rows = R"({"input_ids":[1,2,3,4],"labels":[-100,2,3,4]}
{"input_ids":[1,2,3,4],"labels":[-100,-100,-100,4]}
{"input_ids":[1,2,3,4],"labels":[-100,-100,-100,-100]}
{"input_ids":[5]}
{"input_ids":[1,2,3]}
)";
  Rows cut(rows);
  cut.options.seq_len = 3;
  Dataset data = cut.read();
  CHECK(data.cut_rows == 3);
  CHECK(data.emptied_rows == 1);
  CHECK(data.unsupervised_rows == 2);
  data = Rows(rows).read();
  CHECK(data.cut_rows == 0);
  CHECK(data.emptied_rows == 0);
  CHECK(data.unsupervised_rows == 2);
  cut.options.seq_len = 1;
  CHECK(contains(cut.refusal(),
                 ": expected at least one supervised token in 5 rows, found none (3 rows lost theirs to --seq-len 1)"));
}

TEST_CASE("columns that other programs take a mask or positions from are named where that makes a difference") {
  using Columns = std::set<std::string>;
  auto unread = [](const std::string& columns) {
    return Rows(R"({"input_ids":[1,2,3],)" + columns + "}\n").read().unread_columns;
  };
  for (const char* key : {"completion_mask", "assistant_masks", "loss_mask"}) {
    std::string column = std::string("\"") + key + "\":[0,1,1]";
    CHECK(unread(column) == Columns{key});
    CHECK(unread(column + R"(,"labels":[-100,2,3])").empty());
    CHECK(unread(std::string("\"") + key + "\":null").empty());
  }
  CHECK(unread(R"("position_ids":[0,1,0])") == Columns{"position_ids"});
  CHECK(unread(R"("position_ids":[1,2,3],"labels":[-100,2,3])") == Columns{"position_ids"});
  CHECK(unread(R"("position_ids":[0,1,2])").empty());
  CHECK(unread(R"("position_ids":[7,0,1],"attention_mask":[0,1,1])").empty());
  CHECK(unread(R"("token_type_ids":[0,0,0],"source":"x")").empty());
}
