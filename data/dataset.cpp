#include "data/dataset.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <utility>

#include "data/data_files.h"
#include "data/dataset_rows.h"
#include "data/jsonl.h"
#include "data/tokenizer/unknown_id.h"
#include "engine/error.h"

namespace loragrad {
namespace {

// Rows of a .jsonl file.
void read_rows(std::string_view text, const Tokenizer* tokenizer, const DatasetOptions& options, Dataset& data) {
  RowReader reader(tokenizer, options);
  for_each_line(text, data.path, [&](const JsonRef& json, std::string_view) {
    if (options.begins_row) options.begins_row();
    Row row = reader.read(json);
    std::size_t limit = static_cast<std::size_t>(options.seq_len);
    bool teaches = supervised_tokens(row) > 0;
    if (row.input_ids.size() > limit) {
      row.input_ids.resize(limit);
      row.labels.resize(limit);
      ++data.cut_rows;
      if (teaches && supervised_tokens(row) == 0) ++data.emptied_rows;
    }
    data.rows.push_back(std::move(row));
  });
  if (reader.format()) data.format = name_of(*reader.format());
  data.unread_columns = reader.unread_columns();
  data.mismatched_prompts = reader.mismatched_prompts();
}

}  // namespace

std::int64_t supervised_tokens(const Row& row) {
  if (row.labels.empty()) return 0;
  return std::count_if(row.labels.begin() + 1, row.labels.end(), [](TokenId label) { return label != no_label; });
}

Dataset load_dataset(const std::string& file, const Tokenizer* tokenizer, const DatasetOptions& options) {
  if (options.seq_len < 1) throw UsageError(fmt::format("seq_len: expected at least 1, found {}", options.seq_len));
  if (options.vocab_size < 1)
    throw UsageError(fmt::format("vocab_size: expected at least 1, found {}", options.vocab_size));
  require_data_file(file);
  std::string text = read_data_text(file);
  Dataset data;
  data.path = file;
  try {
    if (std::filesystem::path(file).extension() == ".jsonl") {
      read_rows(text, tokenizer, options, data);
    } else {
      if (!tokenizer)
        throw InputError(file + ": expected a .jsonl file with input_ids, as the model has no tokenizer" +
                         (options.no_tokenizer.empty() ? "" : " (" + options.no_tokenizer + ")"));
      data.format = "txt";
      data.rows = text_rows(text, *tokenizer, options, file);
    }
  } catch (const UnknownId& error) {
    throw blame_tokenizer(*tokenizer, error);
  }
  if (data.rows.empty()) throw InputError(file + ": expected at least one row, found none");
  for (std::size_t i = 0; i < data.rows.size(); ++i) {
    const Row& row = data.rows[i];
    if (options.max_positions > 0 && std::cmp_greater(row.input_ids.size(), options.max_positions))
      throw InputError(
          fmt::format("{}: row {}: expected at most the model's {} positions, found {} tokens (--seq-len {} cuts rows)",
                      file, i + 1, options.max_positions, row.input_ids.size(), options.max_positions));
    data.tokens += static_cast<std::int64_t>(row.input_ids.size());
    data.supervised_tokens += supervised_tokens(row);
    if (supervised_tokens(row) == 0) ++data.unsupervised_rows;
  }
  data.unsupervised_rows -= data.emptied_rows;
  if (data.supervised_tokens == 0)
    throw InputError(
        fmt::format("{}: expected at least one supervised token in {} rows, found none{}", file, data.rows.size(),
                    data.emptied_rows > 0
                        ? fmt::format(" ({} rows lost theirs to --seq-len {})", data.emptied_rows, options.seq_len)
                        : ""));
  return data;
}

}  // namespace loragrad
