#include "data/dataset_rows.h"

#include <fmt/format.h>

#include <algorithm>

#include "data/row_adapter.h"
#include "data/tokenizer/unknown_id.h"
#include "engine/error.h"

namespace loragrad {
namespace {

bool has(const JsonRef& row, std::string_view key) { return row.json().find(key) != nullptr; }

/// Whether an entry of attention_mask keeps its token. Numbers of samples, as packing writes them, are no mask.
bool keeps(const JsonRef& entry) {
  if (const auto* yes = std::get_if<bool>(&entry.json().value())) return *yes;
  const auto* number = std::get_if<std::int64_t>(&entry.json().value());
  if (!number || (*number != 0 && *number != 1)) entry.fail("0 or 1");
  return *number == 1;
}

/// Whether the tokens that are kept have positions 0, 1, 2, ..., as they get here.
bool counts_up(const JsonRef& positions, const std::vector<JsonRef>& mask) {
  if (!positions.is_array()) return false;
  std::vector<JsonRef> given = positions.elements();
  std::int64_t next = 0;
  for (std::size_t i = 0; i < given.size(); ++i) {
    if (i < mask.size() && !keeps(mask[i])) continue;
    const auto* position = std::get_if<std::int64_t>(&given[i].json().value());
    if (!position || *position != next++) return false;
  }
  return true;
}

TokenId label_of(const JsonRef& label, std::int64_t last) {
  const auto* value = std::get_if<std::int64_t>(&label.json().value());
  if (!value || (*value != no_label && (*value < 0 || *value > last)))
    label.fail(fmt::format("an integer in [0, {}], or {} for no loss", last, no_label));
  return static_cast<TokenId>(*value);
}

/// The elements of a column that aligns with input_ids, or none where it is absent or null.
std::vector<JsonRef> aligned(const JsonRef& row, std::string_view key, std::size_t size, std::string_view what) {
  auto column = row.find(key);
  if (!column) return {};
  std::vector<JsonRef> elements = column->elements();
  if (elements.size() != size) column->fail(fmt::format("as many {} as input_ids, {}", what, size));
  return elements;
}

std::string place_of(const JsonRef& json) { return json.where() + ": " + json.path(); }

}  // namespace

std::string name_of(RowFormat format) {
  switch (format) {
    case RowFormat::text:
      return "text";
    case RowFormat::prompt_completion:
      return "prompt/completion";
    case RowFormat::messages:
      return "messages";
    case RowFormat::share_gpt:
      return "conversations";
    case RowFormat::alpaca:
      return "instruction/output";
    case RowFormat::input_ids:
      return "input_ids";
  }
  return "";
}

bool is_chat(RowFormat format) {
  return format == RowFormat::messages || format == RowFormat::share_gpt || format == RowFormat::alpaca;
}

RowFormat format_of_row(const JsonRef& json, std::optional<RowFormat> before) {
  constexpr std::string_view supported =
      "text, prompt and completion, messages, conversations, instruction and output, or input_ids";
  if (!json.is_object()) json.fail(fmt::format("an object with {}", supported));
  std::vector<RowFormat> found;
  if (has(json, "text")) found.push_back(RowFormat::text);
  // Beside messages, a prompt alone repeats the first of them.
  if (has(json, "completion") || (has(json, "prompt") && !has(json, "messages")))
    found.push_back(RowFormat::prompt_completion);
  if (has(json, "messages")) found.push_back(RowFormat::messages);
  if (has(json, "conversations")) found.push_back(RowFormat::share_gpt);
  if (has(json, "instruction") || has(json, "output")) found.push_back(RowFormat::alpaca);
  if (has(json, "input_ids")) found.push_back(RowFormat::input_ids);
  if (found.size() > 1)
    json.fail(fmt::format("a row of one format, not of {} and {}", name_of(found[0]), name_of(found[1])));
  if (found.empty() && !before) json.fail(fmt::format("an object with {}", supported));
  // A row without any of the keys is reported by the key that it lacks.
  RowFormat format = found.empty() ? *before : found[0];
  if (before && format != *before)
    json.fail(fmt::format("a row of {} as the first one, not of {}", name_of(*before), name_of(format)));
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

Row RowReader::read_prompt_completion(const JsonRef& json) {
  JsonRef prompt = json.at("prompt"), completion = json.at("completion");
  const Tokenizer& tokenizer = tokenizer_for(json, "prompt");
  std::size_t border = prompt.string().size();
  Encoding whole = tokenizer.encode_with_spans(prompt.string() + completion.string());
  Row row;
  row.input_ids = tokenizer.special_before();
  row.labels.assign(row.input_ids.size(), no_label);
  auto add = [&](TokenId id, bool supervised) {
    row.input_ids.push_back(id);
    row.labels.push_back(supervised ? id : no_label);
  };
  for (std::size_t i = 0; i < whole.ids.size(); ++i) add(whole.ids[i], whole.spans[i].end > border);
  std::vector<TokenId> alone = tokenizer.encode_prompt(prompt.string());
  if (alone.size() > row.input_ids.size() || !std::equal(alone.begin(), alone.end(), row.input_ids.begin()))
    ++mismatched_prompts_;
  for (TokenId id : tokenizer.special_after()) add(id, true);
  // An end token that is the prompt's own does not end the completion.
  if (options_.eos && (row.labels.empty() || row.labels.back() != *options_.eos)) add(*options_.eos, true);
  expect_in_vocabulary(row.labels, options_.vocab_size, place_of(completion));
  expect_in_vocabulary(row.input_ids, options_.vocab_size, place_of(prompt));
  return row;
}

Row RowReader::read_chat(const JsonRef& json) {
  std::string key = *format_ == RowFormat::alpaca ? "instruction" : name_of(*format_);
  const Tokenizer& tokenizer = tokenizer_for(json, key);
  Conversation conversation = *format_ == RowFormat::messages    ? conversation_of_messages(json)
                              : *format_ == RowFormat::share_gpt ? conversation_of_share_gpt(json)
                                                                 : conversation_of_alpaca(json);
  std::string place = json.where() + ": " + name_of(*format_);
  if (!options_.chat) throw InputError(place + ": expected a chat template for rows of conversations, found none");
  if (!chat_) chat_ = options_.chat();
  SupervisedText text = chat_->supervise(conversation, options_.last_turn_only, place);
  Encoding whole = tokenizer.encode_with_spans(text.text);
  Row row{whole.ids, std::vector<TokenId>(whole.ids.size(), no_label)};
  for (const TextSpan& turn : text.spans) {
    bool any = false;
    for (std::size_t i = 0; i < whole.ids.size(); ++i) {
      const TextSpan& token = whole.spans[i];
      if (token.begin >= turn.end || token.end <= turn.begin) continue;
      row.labels[i] = row.input_ids[i];
      any = true;
    }
    if (!any) throw InputError(place + ": expected a token for what an assistant says, found none");
  }
  if (has(json, "prompt")) unread_columns_.insert("prompt");
  expect_in_vocabulary(row.input_ids, options_.vocab_size, place);
  return row;
}

Row RowReader::read_input_ids(const JsonRef& json) {
  std::int64_t last = options_.vocab_size - 1;
  std::vector<JsonRef> ids = json.at("input_ids").elements();
  std::vector<JsonRef> labels = aligned(json, "labels", ids.size(), "labels"),
                       mask = aligned(json, "attention_mask", ids.size(), "entries");
  Row row;
  for (std::size_t i = 0; i < ids.size(); ++i) {
    // As if it had not been there: neither its id nor its label counts, and a pad may lie beyond the vocabulary.
    if (!mask.empty() && !keeps(mask[i])) continue;
    row.input_ids.push_back(static_cast<TokenId>(ids[i].integer(0, last)));
    row.labels.push_back(labels.empty() ? row.input_ids.back() : label_of(labels[i], last));
  }
  if (row.input_ids.empty() && !ids.empty()) json.at("attention_mask").fail("a mask that leaves a token");
  for (const char* key : {"completion_mask", "assistant_masks", "loss_mask"})
    if (labels.empty() && json.find(key)) unread_columns_.insert(key);
  if (auto positions = json.find("position_ids"); positions && !counts_up(*positions, mask))
    unread_columns_.insert("position_ids");
  return row;
}

Row RowReader::read(const JsonRef& json) {
  format_ = format_of_row(json, format_);
  Row row = *format_ == RowFormat::text                ? read_text(json)
            : *format_ == RowFormat::prompt_completion ? read_prompt_completion(json)
            : is_chat(*format_)                        ? read_chat(json)
                                                       : read_input_ids(json);
  if (row.input_ids.empty()) json.fail("a row of at least one token");
  if (options_.adapters)
    row.adapter = row_adapter(json, *options_.adapters);
  else if (json.find("adapter"))
    unread_columns_.insert("adapter");
  return row;
}

std::vector<Row> text_rows(std::string_view text, const Tokenizer& tokenizer, const DatasetOptions& options,
                           const std::string& place) {
  const std::vector<TokenId>& start = tokenizer.special_before();
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
