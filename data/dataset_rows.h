#pragma once
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "data/chat/chat_template.h"
#include "data/dataset.h"
#include "io/json.h"

namespace loragrad {

enum class RowFormat { text, prompt_completion, messages, share_gpt, alpaca, input_ids };
/// Whether rows are conversations.
bool is_chat(RowFormat format);
/// As Dataset::format has it.
std::string name_of(RowFormat format);
/// The format whose keys a row has; InputError where it has no format's or several formats'. A row like `before` may lack its
/// keys: what reads it says which.
RowFormat format_of_row(const JsonRef& json, std::optional<RowFormat> before = std::nullopt);

/// Reads rows of .jsonl one by one; the first decides the format of all.
class RowReader {
 public:
  /// `tokenizer` may be null, for input_ids only. Both must outlive the reader.
  RowReader(const Tokenizer* tokenizer, const DatasetOptions& options) : tokenizer_(tokenizer), options_(options) {}
  /// The row, not yet cut to seq_len. InputError as FILE:LINE: KEY.
  Row read(const JsonRef& json);
  /// Of the rows read so far; nullopt before the first.
  std::optional<RowFormat> format() const { return format_; }
  /// As Dataset::unread_columns.
  const std::set<std::string>& unread_columns() const { return unread_columns_; }
  /// As Dataset::mismatched_prompts.
  std::int64_t mismatched_prompts() const { return mismatched_prompts_; }

 private:
  const Tokenizer& tokenizer_for(const JsonRef& json, std::string_view key) const;
  void append_eos(std::vector<TokenId>& ids) const;
  Row read_text(const JsonRef& json) const;
  Row read_prompt_completion(const JsonRef& json);
  Row read_chat(const JsonRef& json);
  Row read_input_ids(const JsonRef& json);

  const Tokenizer* tokenizer_;
  const DatasetOptions& options_;
  std::optional<RowFormat> format_;
  std::optional<ChatTemplate> chat_;
  std::set<std::string> unread_columns_;
  std::int64_t mismatched_prompts_ = 0;
};

/// A .txt file's text as rows of at most seq_len tokens, each starting with what the tokenizer puts before a text
/// (BOS); a last row of one token is dropped. `place` is the file, for messages.
std::vector<Row> text_rows(std::string_view text, const Tokenizer& tokenizer, const DatasetOptions& options,
                           const std::string& place);

}  // namespace loragrad
