// Folders whose files name tokens in many ways: what transformers makes of them (make_tokenizer_files_golden.py).
#include "data/tokenizer/tokenizer.h"
#include "io/json.h"
#include "tests/io/support.h"

using namespace loragrad;
using namespace loragrad::test;

namespace {

const std::string golden = "tests/data/folders/golden.json";

void put_files(const TempFolder& folder, const JsonRef& files) {
  for (const auto& [name, content] : files.members())
    put(folder / name, content.is_string() ? content.string() : content.json().dump());
}

std::vector<TokenId> ids(const JsonRef& json) {
  std::vector<TokenId> out;
  for (const JsonRef& id : json.elements()) out.push_back(static_cast<TokenId>(id.integer(0, 1000)));
  return out;
}

}  // namespace

TEST_CASE("a folder's tokenizer is transformers'") {
  Json json = read_json_file(golden);
  JsonRef root(json, golden);
  for (const JsonRef& item : root.at("cases").elements()) {
    INFO(item.at("name").string());
    TempFolder folder;
    put_files(folder, root.at("bases").at(item.at("base").string()));
    put_files(folder, item.at("files"));
    Tokenizer tokenizer = Tokenizer::from_folder(folder.path());
    for (const JsonRef& row : item.at("rows").elements()) {
      CHECK(tokenizer.encode(row[0].string()) == ids(row[1]));
      CHECK(tokenizer.decode(ids(row[1])) == row[2].string());
    }
    auto end = item.find("end");
    CHECK(tokenizer.end_token() == (end ? std::optional(static_cast<TokenId>(end->integer(0, 1000))) : std::nullopt));
    bool followed = false;
    for (const std::string& warning : tokenizer.warnings())
      followed |= warning.find(" is followed, where ") != std::string::npos;
    CHECK(followed == item.at("warns").boolean());
  }
}

TEST_CASE("tokens that other ids were declared for") {
  Json json = read_json_file(golden);
  JsonRef bases = JsonRef(json, golden).at("bases");
  auto warnings = [&](const char* base, const std::string& config) {
    TempFolder folder;
    put_files(folder, bases.at(base));
    put(folder / "tokenizer_config.json", config);
    std::string text;
    Tokenizer tokenizer = Tokenizer::from_folder(folder.path());
    for (const std::string& warning : tokenizer.warnings()) text += warning + "\n";
    return text;
  };
  CHECK(warnings("plain", R"({"added_tokens_decoder":{"32":{"content":"<|x|>"}}})").empty());
  CHECK(contains(warnings("plain", R"({"added_tokens_decoder":{"90":{"content":"<|x|>"}}})"),
                 "added_tokens_decoder: \"<|x|>\" is said to be 90 and is 32"));
  CHECK(contains(warnings("gap", R"({"tokenizer_class":"PreTrainedTokenizerFast"})"), "is said to be 60 and is 32"));
  CHECK(contains(warnings("x", R"({"tokenizer_class":"GPT2Tokenizer","added_tokens_decoder":{}})"),
                 "\"<s>\" is not among tokenizer_config.json's added_tokens_decoder"));
}
