// Rows of prompt and completion: one text, and what of it is supervised.
#include "data/dataset.h"
#include "io/json.h"
#include "tests/io/support.h"

using namespace loragrad;
using namespace loragrad::test;

namespace {

using Ids = std::vector<TokenId>;

/// One row, read with a tokenizer of tests/data/golden.
struct PromptRow {
  PromptRow(const std::string& style, const std::string& prompt, const std::string& completion,
            std::optional<TokenId> eos, std::int64_t seq_len = 512)
      : tokenizer(Tokenizer::from_file("tests/data/golden/" + style + ".json")) {
    TempFolder folder;
    Json row = Json::Object{{"prompt", prompt}, {"completion", completion}};
    // A row with a supervised token, so that the one that is looked at need not have any.
    Json other = Json::Object{{"prompt", ""}, {"completion", "the the"}};
    put(folder / "d.jsonl", row.dump() + "\n" + other.dump() + "\n");
    DatasetOptions options;
    options.eos = eos;
    options.seq_len = seq_len;
    options.vocab_size = tokenizer.vocab_size();
    Dataset data = load_dataset(folder / "d.jsonl", &tokenizer, options);
    ids = data.rows[0].input_ids;
    mismatched = data.mismatched_prompts;
    cut = data.cut_rows;
    for (std::size_t i = 0; i < ids.size(); ++i) {
      TokenId label = data.rows[0].labels[i];
      mask += label == no_label ? '-' : 'x';
      CHECK((label == no_label || label == ids[i]));
    }
  }
  /// The ids of a text, with the special tokens before it.
  Ids begun(const std::string& text, const Ids& end = {}) const {
    Ids result = tokenizer.encode_prompt(text);
    result.insert(result.end(), end.begin(), end.end());
    return result;
  }
  Tokenizer tokenizer;
  Ids ids;
  std::string mask;  ///< x: supervised
  std::int64_t mismatched = 0, cut = 0;
};

}  // namespace

TEST_CASE("prompt and completion are one text") {
  PromptRow apart("gpt2", "the", " cat", 0);
  CHECK(apart.ids == apart.begun("the cat", {0}));
  CHECK(apart.mask == "-xx");
  CHECK(apart.mismatched == 0);
  // " cat" has a character of the prompt and some of the completion.
  PromptRow across("gpt2", "the ", "cat", 0);
  CHECK(across.ids == apart.ids);
  CHECK(across.mask == "-xx");
  CHECK(across.mismatched == 1);
  PromptRow within("gpt2", "t", "he cat", 0);
  CHECK(within.mask == "xxx");
  CHECK(within.mismatched == 1);
  PromptRow prepended("llama2", "the", " cat", 2);
  CHECK(prepended.ids == prepended.begun("the cat", {2}));
  CHECK(prepended.mask.starts_with("--x"));
  CHECK(prepended.mask.ends_with("xx"));
  CHECK(prepended.mismatched == 0);
}

TEST_CASE("an empty prompt, an empty completion, and both") {
  PromptRow first("llama2", "", "the", 2);
  CHECK(first.ids == first.begun("the", {2}));
  CHECK(first.mask[0] == '-');
  CHECK(first.mask[1] == 'x');  // the space that is put before it is the next character's
  CHECK(first.mismatched == 0);
  PromptRow last("gpt2", "the", "", 0);
  CHECK(last.ids == last.begun("the", {0}));
  CHECK(last.mask == "-x");
  CHECK(PromptRow("llama2", "", "", 2).ids == Ids{1, 2});
  CHECK(PromptRow("llama2", "", "", 2).mask == "-x");
  // The token that starts every text is none that ends one.
  CHECK(PromptRow("llama2", "", "", 1).ids == Ids{1, 1});
  CHECK(PromptRow("gpt2", "", "", 0).ids == Ids{0});
}

TEST_CASE("the end token stands once, and is the completion's") {
  PromptRow spelled("gpt2", "the", " cat<|endoftext|>", 0);
  CHECK(spelled.ids == spelled.begun("the cat", {0}));
  CHECK(spelled.mask == "-xx");
  PromptRow alone("gpt2", "the", "<|endoftext|>", 0);
  CHECK(alone.ids == alone.begun("the", {0}));
  CHECK(alone.mask == "-x");
  PromptRow prompts("gpt2", "the<|endoftext|>", "", 0);
  CHECK(prompts.ids == prompts.begun("the", {0, 0}));
  CHECK(prompts.mask == "--x");
  CHECK(PromptRow("gpt2", "the", " cat", std::nullopt).mask == "-x");
  PromptRow cut("gpt2", "the", " cat", 0, 2);
  CHECK(cut.mask == "-x");
  CHECK(cut.cut == 2);  // the other row too
}

TEST_CASE("special tokens behind a text stand behind the completion only") {
  PromptRow row("roberta", "the", " cat", 1);
  Ids text = row.tokenizer.encode("the cat", false);
  CHECK(row.ids == row.tokenizer.encode("the cat"));
  CHECK(row.ids.front() == 0);
  CHECK(row.ids.back() == 1);
  CHECK(row.mask == "--xx");
  CHECK(row.mismatched == 0);
  PromptRow other("roberta", "the", " cat", 2);
  CHECK(other.ids == other.begun("the cat", {1, 2}));
  CHECK(other.mask == "--xxx");
  CHECK(PromptRow("roberta", "the", " cat", std::nullopt).mask == "--xx");
  CHECK(row.tokenizer.special_before() == Ids{0});
  CHECK(row.tokenizer.special_after() == Ids{1});
}

TEST_CASE("a composed character is that of its first") {
  PromptRow row("qwen2", "e", "\u0301 the", 0);
  CHECK(row.ids == row.begun("\u00e9 the", {0}));
  CHECK(row.mask == "--xx");  // two bytes of the prompt's
  CHECK(row.mismatched == 1);
}

TEST_CASE("white space that an added token takes is nobody's") {
  // <|end|> takes the white space on both sides.
  PromptRow before("phi3", "the  ", "<|end|>", 2);
  CHECK(before.ids == before.begun("the<|end|>", {2}));
  CHECK(before.mask.ends_with("-xx"));
  CHECK(before.mismatched == 1);
  PromptRow behind("phi3", "the<|end|>", "  the", 2);
  CHECK(behind.ids == behind.begun("the<|end|>the", {2}));
  CHECK(behind.mask == std::string(behind.begun("the<|end|>").size(), '-') +
                           std::string(behind.ids.size() - behind.begun("the<|end|>").size(), 'x'));
  CHECK(behind.mismatched == 0);
  PromptRow only("phi3", "the<|end|>", "  ", 2);
  CHECK(only.ids == only.begun("the<|end|>", {2}));
  CHECK(only.mask.ends_with("-x"));
}

TEST_CASE("an id above the vocabulary is named where it stands") {
  TempFolder folder;
  Tokenizer tokenizer = Tokenizer::bytes();
  DatasetOptions options;
  options.vocab_size = 'b';
  auto refusal = [&](const std::string& row) {
    put(folder / "d.jsonl", row);
    return message_of<InputError>([&] { load_dataset(folder / "d.jsonl", &tokenizer, options); });
  };
  CHECK(contains(refusal(R"({"prompt":"ab","completion":"a"})"), ":1: prompt: expected token ids below"));
  CHECK(contains(refusal(R"({"prompt":"a","completion":"b"})"), ":1: completion: expected token ids below"));
}
