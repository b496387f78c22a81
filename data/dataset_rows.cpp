#include "data/dataset_rows.h"

#include <fmt/format.h>

#include <algorithm>

#include "engine/error.h"

namespace loragrad {
namespace {

bool has(const JsonRef& row, std::string_view key) { return row.json().find(key) != nullptr; }

void expect_in_vocabulary(const std::vector<TokenId>& ids, std::int64_t vocab_size, const std::string& place) {
  for (TokenId id : ids)
    if (id >= vocab_size)
      throw InputError(
          fmt::format("{}: expected token ids below the model's vocabulary of {}, found {}", place, vocab_size, id));
}

std::string place_of(const JsonRef& json) { return json.where() + ": " + json.path(); }

}  // namespace

std::string name_of(RowFormat format) {
  switch (format) {
    case RowFormat::text:
      return "text";
    case RowFormat::prompt_completion:
      return "prompt/completion";
    case RowFormat::input_ids:
      return "input_ids";
  }
  return "";
}

RowFormat RowReader::format_of(const JsonRef& json) const {
  constexpr std::string_view supported = "text, prompt and completion, or input_ids";
  if (!json.is_object()) json.fail(fmt::format("an object with {}", supported));
  if (has(json, "messages"))
    json.at("messages").fail(fmt::format("a row with {} (messages are not supported)", supported));
  std::vector<RowFormat> found;
  if (has(json, "text")) found.push_back(RowFormat::text);
  if (has(json, "prompt") || has(json, "completion")) found.push_back(RowFormat::prompt_completion);
  if (has(json, "input_ids")) found.push_back(RowFormat::input_ids);
  if (found.size() > 1)
    json.fail(fmt::format("a row of one format, not of {} and {}", name_of(found[0]), name_of(found[1])));
  if (found.empty() && !format_) json.fail(fmt::format("an object with {}", supported));
  // A row without any of the keys is reported by the key that it lacks.
  RowFormat format = found.empty() ? *format_ : found[0];
  if (format_ && format != *format_)
    json.fail(fmt::format("a row of {} as the first one, not of {}", name_of(*format_), name_of(format)));
  return format;
}

const Tokenizer& RowReader::tokenizer_for(const JsonRef& json, std::string_view key) const {
  if (!tokenizer_)
    json.at(key).fail("input_ids, as the model has no tokenizer" +
                      (options_.no_tokenizer.empty() ? "" : " (" + options_.no_tokenizer + ")"));
  return *tokenizer_;
}

void RowReader::append_eos(std::vector<TokenId>& ids) const {
  if (options_.eos && (ids.empty() || ids.back() != *options_.eos)) ids.push_back(*options_.eos);
}

Row RowReader::read_text(const JsonRef& json) const {
  JsonRef text = json.at("text");
  Row row;
  row.input_ids = tokenizer_for(json, "text").encode(text.string());
  append_eos(row.input_ids);
  expect_in_vocabulary(row.input_ids, options_.vocab_size, place_of(text));
  row.labels = row.input_ids;
  return row;
}

Row RowReader::read_prompt_completion(const JsonRef& json) const {
  JsonRef prompt = json.at("prompt"), completion = json.at("completion");
  Row row;
  row.input_ids = tokenizer_for(json, "prompt").encode(prompt.string());
  expect_in_vocabulary(row.input_ids, options_.vocab_size, place_of(prompt));
  std::vector<TokenId> target = tokenizer_->encode(completion.string(), false);
  append_eos(target);
  expect_in_vocabulary(target, options_.vocab_size, place_of(completion));
  row.labels.assign(row.input_ids.size(), no_label);
  row.input_ids.insert(row.input_ids.end(), target.begin(), target.end());
  row.labels.insert(row.labels.end(), target.begin(), target.end());
  return row;
}

Row RowReader::read_input_ids(const JsonRef& json) const {
  std::int64_t last = options_.vocab_size - 1;
  Row row;
  for (const JsonRef& id : json.at("input_ids").elements())
    row.input_ids.push_back(static_cast<TokenId>(id.integer(0, last)));
  auto labels = json.find("labels");
  if (!labels) {
    row.labels = row.input_ids;
    return row;
  }
  if (labels->size() != row.input_ids.size())
    labels->fail(fmt::format("as many labels as input_ids, {}", row.input_ids.size()));
  for (const JsonRef& label : labels->elements()) {
    const auto* value = std::get_if<std::int64_t>(&label.json().value());
    if (!value || (*value != no_label && (*value < 0 || *value > last)))
      label.fail(fmt::format("an integer in [0, {}], or {} for no loss", last, no_label));
    row.labels.push_back(static_cast<TokenId>(*value));
  }
  return row;
}

Row RowReader::read(const JsonRef& json) {
  format_ = format_of(json);
  Row row = *format_ == RowFormat::text                ? read_text(json)
            : *format_ == RowFormat::prompt_completion ? read_prompt_completion(json)
                                                       : read_input_ids(json);
  if (row.input_ids.empty()) json.fail("a row of at least one token");
  return row;
}

std::vector<Row> text_rows(std::string_view text, const Tokenizer& tokenizer, const DatasetOptions& options,
                           const std::string& place) {
  // A letter is no special token, so what stands before its ids is what the tokenizer puts before every text.
  std::vector<TokenId> letter = tokenizer.encode("a", false), with_special = tokenizer.encode("a");
  auto letter_at = std::search(with_special.begin(), with_special.end(), letter.begin(), letter.end());
  std::vector<TokenId> start(with_special.begin(), letter_at);

  std::vector<TokenId> ids = tokenizer.encode(text, false);
  expect_in_vocabulary(start, options.vocab_size, place);
  expect_in_vocabulary(ids, options.vocab_size, place);
  std::int64_t width = options.seq_len - static_cast<std::int64_t>(start.size());
  if (width < 1)
    throw UsageError(fmt::format("seq_len: expected more than {}, found {}", start.size(), options.seq_len));
  std::vector<Row> rows;
  for (std::size_t at = 0; at < ids.size(); at += static_cast<std::size_t>(width)) {
    std::size_t end = std::min(ids.size(), at + static_cast<std::size_t>(width));
    Row row;
    row.input_ids = start;
    row.input_ids.insert(row.input_ids.end(), ids.begin() + static_cast<std::ptrdiff_t>(at),
                         ids.begin() + static_cast<std::ptrdiff_t>(end));
    if (row.input_ids.size() == 1 && end == ids.size()) break;
    row.labels = row.input_ids;
    rows.push_back(std::move(row));
  }
  return rows;
}

}  // namespace loragrad
