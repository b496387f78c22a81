#include "app/generate_rows.h"

#include <algorithm>

#include "app/terminal/console.h"
#include "app/terminal/interrupt.h"
#include "app/terminal/text_stream.h"
#include "engine/error.h"

namespace loragrad {
namespace {

/// What becomes of the prompts.
class Rows {
 public:
  Rows(const Tokenizer& tokenizer, const std::vector<Prompt>& prompts)
      : tokenizer_(tokenizer), prompts_(prompts), rows_(prompts.size()) {}

  void take(const BatchDecoder::Token& token) {
    auto number = static_cast<std::size_t>(token.row);
    rows_[number].ids.push_back(token.id);
    rows_[number].done = token.last;
    ++tokens_;
  }
  /// Prints the rows that are done, from the first that is not printed yet to the next that is not done.
  void print_done() {
    bool any = false;
    for (; next_ < rows_.size() && rows_[next_].done; ++next_, any = true) print_row(next_);
    if (any) flush_output();
  }
  /// Prints all the others that are done.
  void print_rest() {
    for (; next_ < rows_.size(); ++next_)
      if (rows_[next_].done) print_row(next_);
    flush_output();
  }
  std::int64_t tokens() const { return tokens_; }

 private:
  struct Row {
    std::vector<TokenId> ids;
    bool done = false;
  };
  void print_row(std::size_t number) {
    const std::vector<TokenId>&prompt = prompts_[number].ids, &added = rows_[number].ids;
    TextStream stream(tokenizer_, prompt);
    std::string text;
    for (TokenId id : added) text += stream.push(id);
    text += stream.finish();
    print_json(Json::Object{{"row", number},
                            {"text", text},
                            {"ids", Json::Array(added.begin(), added.end())},
                            {"prompt_ids", Json::Array(prompt.begin(), prompt.end())}});
    rows_[number].ids = {};
  }

  const Tokenizer& tokenizer_;
  const std::vector<Prompt>& prompts_;
  std::vector<Row> rows_;
  std::size_t next_ = 0;
  std::int64_t tokens_ = 0;
};

}  // namespace

std::int64_t generate_rows(const CausalLm& model, const ActiveAdapters& adapters, const Tokenizer& tokenizer,
                           const std::vector<Prompt>& prompts, const GenerateOptions& options,
                           std::int64_t rows_at_once) {
  std::int64_t most = std::min(model.config().max_position_embeddings, longest_prompt(prompts) + options.max_tokens);
  BatchDecoder decoder(model, std::min(rows_at_once, static_cast<std::int64_t>(prompts.size())), most, adapters);
  GenerateOptions of_row = options;
  for (std::size_t i = 0; i < prompts.size(); ++i) {
    of_row.adapter = prompts[i].adapter;
    decoder.add(static_cast<std::int64_t>(i), prompts[i].ids, of_row);
  }
  Rows rows(tokenizer, prompts);
  try {
    while (!decoder.done() && interrupted_by() == 0) {
      for (const BatchDecoder::Token& token : decoder.step()) rows.take(token);
      rows.print_done();
    }
  } catch (const Error&) {
    rows.print_rest();
    throw;
  }
  rows.print_rest();
  return rows.tokens();
}

}  // namespace loragrad
