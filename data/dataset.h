#pragma once
// Threads: values and functions of their arguments alone; any thread may use them.
#include <cstdint>
#include <functional>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "data/data_files.h"
#include "data/tokenizer/tokenizer.h"

namespace loragrad {

class ChatTemplate;

/// A row as the model takes it. labels.size() == input_ids.size(); -100 means "no loss"; the shift by one happens in
/// the loss.
struct Row {
  std::vector<TokenId> input_ids;
  std::vector<TokenId> labels;
  std::string adapter = {};  ///< the name of the one that it chose; "": none
};
constexpr TokenId no_label = -100;

struct DatasetOptions {
  std::int64_t seq_len = 512;
  /// Appended to `text` and `completion`, supervised, unless already there; nullopt for --no-eos.
  std::optional<TokenId> eos = {};
  std::int64_t vocab_size = 0;     ///< ids must be below it (InputError with FILE:LINE and the id)
  std::string no_tokenizer = {};   ///< why there is none, where there is none
  std::int64_t max_positions = 0;  ///< a row that is longer after seq_len cut it is an InputError; 0: any length
  /// What rows may choose by "adapter" (data/row_adapter.h); nullopt where they choose none, and the key is not read.
  std::optional<std::vector<std::string>> adapters = {};
  /// The chat template, opened when the first conversation is read; null: there can be none.
  std::function<ChatTemplate()> chat = {};
  bool last_turn_only = false;            ///< of a conversation, the last turn of the assistant alone is supervised
  std::function<void()> begins_row = {};  ///< called before each row of a .jsonl file, and may give up by throwing
};

struct Dataset {
  std::string path;
  std::string
      format;  ///< "text", "prompt/completion", "messages", "conversations", "instruction/output", "input_ids", "txt"
  std::vector<Row> rows;
  std::int64_t cut_rows = 0;           ///< rows that were longer than seq_len
  std::int64_t emptied_rows = 0;       ///< those of them that had supervised tokens and lost them all
  std::int64_t unsupervised_rows = 0;  ///< rows that had none to begin with
  /// Columns of pre-tokenised rows that other programs read and this one does not, where that makes a difference; and
  /// "adapter" where it was not read.
  std::set<std::string> unread_columns;
  std::int64_t supervised_tokens = 0;  ///< after the shift by one
  std::int64_t tokens = 0;
  /// Rows whose prompt has other tokens alone, where generation starts, than at the beginning of the row.
  std::int64_t mismatched_prompts = 0;
};

/// Number of labels that count in the loss: labels[1:] that are not -100.
std::int64_t supervised_tokens(const Row& row);

/// Reads a .jsonl or .txt file; the format is told from the first row (CLI contract, "data"). `tokenizer` may be null
/// for input_ids only. InputError as FILE:LINE: KEY for bad UTF-8, bad JSON, a missing field, a wrong type, mixed
/// formats, an adapter that is none of options.adapters; no rows and no supervised token are errors too.
Dataset load_dataset(const std::string& file, const Tokenizer* tokenizer, const DatasetOptions& options);

}  // namespace loragrad
