#pragma once
// Threads: one at a time for each device (engine/device.h).
#include <cstdint>
#include <deque>
#include <vector>

#include "models/generate/sampling.h"
#include "models/model.h"

namespace loragrad {

/// Continues many rows, several at a time: a step gives each of them a token. A row that has ended leaves its place to
/// the next one that waits. On a processor a row's tokens, and the logits that they were chosen by, do not depend on
/// which rows stand beside it: its prompt goes through the model by itself, the steps' products are summed row by row,
/// and its draws are keyed by (seed, row number).
class BatchDecoder {
 public:
  /// At most `places` rows at a time, of at most `capacity` tokens each, prompts included. `adapters` are of all rows
  /// that may come; GenerateOptions::adapter says which a row has. The model stays where it is while this lives.
  BatchDecoder(const CausalLm& model, std::int64_t places, std::int64_t capacity, ActiveAdapters adapters = {});

  /// The row waits for a place. InputError for an empty prompt, one that leaves no position free, or an id outside the
  /// vocabulary; UsageError for options out of range, a name that no adapter has, a number that is there already, or
  /// more tokens than the capacity.
  /// With options.reuse_keys the tokens that it begins with like the row which had its place before, with the same
  /// adapters, do not go through the model again. Its logits are then equal to rounding alone: keys of tokens that were
  /// decoded, and of a shorter prompt, are there as they were.
  void add(std::int64_t row, std::vector<std::int32_t> prompt, const GenerateOptions& options);

  struct Token {
    std::int64_t row = 0;
    std::int32_t id = 0;
    bool last = false;  ///< an end token, or max_tokens or the model's last position are reached: the row is gone
  };
  /// The next token of every row that has a place; free places are taken first come, first served. NumericError naming
  /// the row where logits are NaN: this decoder is of no more use then.
  std::vector<Token> step();

  /// From the next token on these adapters: some added, removed, weighted anew or under another name. What a row has
  /// behind it stays as it was computed, unless the model computes it anew (ModelConfig's
  /// original_max_position_embeddings). UsageError, and nothing changes, where a row that is there has a name that none
  /// of them has.
  void use(ActiveAdapters adapters);

  /// Places are for at least so many tokens. What they hold stays.
  void reserve(std::int64_t capacity) { cache_.grow(capacity); }
  /// How many tokens of prompts have gone through the model.
  std::int64_t prompt_tokens() const { return prompt_tokens_; }

  /// The row ends here. Nothing where it has ended, or never was.
  void cancel(std::int64_t row);
  /// No row is left.
  bool done() const { return waiting_.empty() && running_.empty(); }

 private:
  struct Row {
    std::int64_t number, wanted;    // tokens that may come
    std::vector<std::int32_t> ids;  // prompt and what came; the last goes in next
    GenerateOptions options;
    Random random;
    std::int64_t place = 0, made = 0;
    bool ended = false;
    bool mixed = false;  // its keys are of several sets of adapters
  };
  /// What the row that left a place had there, whose keys are still in it.
  struct Left {
    std::string adapter;
    std::vector<std::int32_t> ids;
  };
  Tensor next_logits(const std::vector<BatchRow>& rows, const std::vector<std::string>& adapters, bool decoding);
  void choose(const Tensor& logits, std::vector<Row*> rows, std::vector<Token>& tokens);
  bool turns_otherwise(const Row& row) const;
  std::int64_t reusable_tokens(const Row& row) const;
  void read_rest(Row& row, std::vector<Token>& tokens);
  void read_whole(Row& row, std::vector<Token>& tokens);
  void decode(std::vector<Token>& tokens);
  void start(Row row, std::vector<Token>& tokens);
  void leave_place(const Row& row);

  const CausalLm& model_;
  KeyValueCache cache_;
  ActiveAdapters adapters_;
  std::deque<Row> waiting_;
  std::vector<Row> running_;  // those of one adapter side by side: they are one range of the batch
  std::vector<std::int64_t> free_;
  std::vector<Left> left_;  // of each place
  std::int64_t prompt_tokens_ = 0;
};

}  // namespace loragrad
