#include "data/dataset.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <utility>

#include "data/dataset_rows.h"
#include "data/unicode.h"
#include "engine/error.h"
#include "io/mapped_file.h"

namespace loragrad {
namespace {

constexpr std::string_view byte_order_mark = "\xef\xbb\xbf";

// The file's text without a byte order mark; bad UTF-8 is reported by line.
std::string read_text_file(const std::string& path) {
  std::string text = read_file(path);
  if (text.starts_with(byte_order_mark)) text.erase(0, byte_order_mark.size());
  std::size_t at = invalid_utf8(text);
  if (at == std::string::npos) return text;
  auto line = 1 + std::count(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(at), '\n');
  throw InputError(
      fmt::format("{}:{}: expected UTF-8, found byte 0x{:02x}", path, line, static_cast<unsigned char>(text[at])));
}

// Rows of a .jsonl file; lines of nothing but white space are none.
void read_rows(std::string_view text, const Tokenizer* tokenizer, const DatasetOptions& options, Dataset& data) {
  RowReader reader(tokenizer, options);
  std::size_t line = 0;
  for (std::size_t begin = 0; begin < text.size();) {
    std::size_t end = std::min(text.find('\n', begin), text.size());
    std::string_view content = text.substr(begin, end - begin);
    begin = end + 1;
    ++line;
    if (content.find_first_not_of(" \t\r") == std::string_view::npos) continue;
    std::string where = fmt::format("{}:{}", data.path, line);
    Json json = parse_json(content, where);
    Row row = reader.read(JsonRef(json, where));
    std::size_t limit = static_cast<std::size_t>(options.seq_len);
    if (row.input_ids.size() > limit) {
      row.input_ids.resize(limit);
      row.labels.resize(limit);
      ++data.cut_rows;
    }
    data.rows.push_back(std::move(row));
  }
  if (reader.format()) data.format = name_of(*reader.format());
}

}  // namespace

std::int64_t supervised_tokens(const Row& row) {
  if (row.labels.empty()) return 0;
  return std::count_if(row.labels.begin() + 1, row.labels.end(), [](TokenId label) { return label != no_label; });
}

std::string dataset_file(const std::string& path, const std::string& split) {
  if (!std::filesystem::exists(path)) throw IoError(path + ": expected a data file or folder, found none");
  if (!std::filesystem::is_directory(path)) return path;
  std::string file = (std::filesystem::path(path) / (split + ".jsonl")).string();
  if (!std::filesystem::exists(file))
    throw IoError(fmt::format("{}: expected {}.jsonl in this folder, found none", path, split));
  return file;
}

Dataset load_dataset(const std::string& file, const Tokenizer* tokenizer, const DatasetOptions& options) {
  if (options.seq_len < 1) throw UsageError(fmt::format("seq_len: expected at least 1, found {}", options.seq_len));
  if (options.vocab_size < 1)
    throw UsageError(fmt::format("vocab_size: expected at least 1, found {}", options.vocab_size));
  std::string extension = std::filesystem::path(file).extension().string();
  if (extension != ".jsonl" && extension != ".txt")
    throw InputError(fmt::format("{}: expected a .jsonl or .txt file, found \"{}\"", file, escaped(extension)));
  std::string text = read_text_file(file);
  Dataset data;
  data.path = file;
  if (extension == ".jsonl") {
    read_rows(text, tokenizer, options, data);
  } else {
    if (!tokenizer)
      throw InputError(file + ": expected a .jsonl file with input_ids, as the model has no tokenizer" +
                       (options.no_tokenizer.empty() ? "" : " (" + options.no_tokenizer + ")"));
    data.format = "txt";
    data.rows = text_rows(text, *tokenizer, options, file);
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
  }
  if (data.supervised_tokens == 0)
    throw InputError(
        fmt::format("{}: expected at least one supervised token in {} rows, found none", file, data.rows.size()));
  return data;
}

}  // namespace loragrad
