#include "models/generate/batch_decoder.h"

#include <algorithm>
#include <string>
#include <utility>

#include "engine/error.h"
#include "ops/argmax.h"

namespace loragrad {
namespace {

std::vector<double> values_of(const Tensor& logits) {
  if (logits.dtype() == DType::f64) return logits.values<double>();
  std::vector<float> values = logits.values<float>();
  return {values.begin(), values.end()};
}

}  // namespace

BatchDecoder::BatchDecoder(const CausalLm& model, std::int64_t places, std::int64_t capacity, ActiveAdapters adapters)
    : model_(model),
      cache_(model.make_cache(capacity, places)),
      adapters_(std::move(adapters)),
      left_(static_cast<std::size_t>(places)) {
  for (std::int64_t place = places; place-- > 0;) free_.push_back(place);
}

void BatchDecoder::add(std::int64_t row, std::vector<std::int32_t> prompt, const GenerateOptions& options) {
  options.check();
  adapters_.for_rows({options.adapter});  // refuses a name that it does not have
  auto is_row = [row](const Row& other) { return other.number == row; };
  if (std::any_of(waiting_.begin(), waiting_.end(), is_row) || std::any_of(running_.begin(), running_.end(), is_row))
    throw UsageError("row " + std::to_string(row) + ": expected a number of its own, found one that is being decoded");
  if (prompt.empty()) throw InputError("prompt: expected at least one token, found none");
  const ModelConfig& config = model_.config();
  for (std::int32_t id : prompt)
    if (id < 0 || id >= config.vocab_size)
      throw InputError("prompt: expected ids below the vocabulary's " + std::to_string(config.vocab_size) + ", found " +
                       std::to_string(id));
  auto used = static_cast<std::int64_t>(prompt.size());
  std::int64_t room = config.max_position_embeddings - used;
  if (room < 1)
    throw InputError("prompt: expected fewer tokens than the model's " +
                     std::to_string(config.max_position_embeddings) + " positions, found " + std::to_string(used));
  std::int64_t wanted = std::min(options.max_tokens, room);
  if (used + wanted > cache_.capacity())
    throw UsageError("row " + std::to_string(row) + ": expected at most " + std::to_string(cache_.capacity()) +
                     " tokens, found a prompt of " + std::to_string(used) + " and " + std::to_string(wanted) +
                     " to come");
  waiting_.push_back({row, wanted, std::move(prompt), options, Random(options.seed, static_cast<std::uint64_t>(row))});
  std::vector<std::int32_t>& ends = waiting_.back().options.end_tokens;
  if (ends.empty()) ends = config.eos_token_ids;
}

std::vector<BatchDecoder::Token> BatchDecoder::step() {
  std::vector<Token> tokens;
  if (!running_.empty()) decode(tokens);
  while (!free_.empty() && !waiting_.empty()) {
    Row row = std::move(waiting_.front());
    waiting_.pop_front();
    start(std::move(row), tokens);
  }
  return tokens;
}

void BatchDecoder::use(ActiveAdapters adapters) {
  std::vector<std::string> names;
  for (const Row& row : waiting_) names.push_back(row.options.adapter);
  for (const Row& row : running_) names.push_back(row.options.adapter);
  adapters.for_rows(names);  // refuses a name that they do not have
  adapters_ = std::move(adapters);
  for (Row& row : running_) row.mixed = true;
  for (Left& left : left_) left = {};
}

void BatchDecoder::cancel(std::int64_t row) {
  auto is_row = [row](const Row& other) { return other.number == row; };
  std::erase_if(waiting_, is_row);
  auto running = std::find_if(running_.begin(), running_.end(), is_row);
  if (running == running_.end()) return;
  leave_place(*running);
  running_.erase(running);
}

/// Logits of each row's last token.
Tensor BatchDecoder::next_logits(const std::vector<BatchRow>& rows, const std::vector<std::string>& adapters,
                                 bool decoding) {
  const ModelConfig& config = model_.config();
  Pass pass{.batch = make_batch(model_.device(), rows, config.vocab_size, config.max_position_embeddings, &cache_),
            .adapters = adapters_.for_rows(adapters),
            .record = false,
            .rows_alone = decoding,
            .cache = &cache_};
  Tensor hidden = model_.hidden(pass);
  return model_.logits(decoding ? hidden : hidden.rows(hidden.rows() - 1, 1), pass, true);
}

/// A token for each row by its logits. Only ids come from the device, and the logits of rows that are drawn for.
void BatchDecoder::choose(const Tensor& logits, std::vector<Row*> rows, std::vector<Token>& tokens) {
  std::vector<std::int32_t> likeliest = argmax(logits);
  for (std::size_t i = 0; i < rows.size(); ++i) {
    Row& row = *rows[i];
    if (likeliest[i] < 0)
      throw NumericError("row " + std::to_string(row.number) + ": the logits of token " + std::to_string(row.made) +
                         " are not numbers (NaN)");
    std::int32_t id = row.options.temperature == 0
                          ? likeliest[i]
                          : sample(values_of(logits.rows(static_cast<std::int64_t>(i), 1)), row.options, row.random);
    row.ids.push_back(id);
    const std::vector<std::int32_t>& ends = row.options.end_tokens;
    row.ended = ++row.made == row.wanted || std::find(ends.begin(), ends.end(), id) != ends.end();
    tokens.push_back({row.number, id, row.ended});
  }
}

/// With its next token it is longer than the model's keys are turned for.
bool BatchDecoder::turns_otherwise(const Row& row) const {
  std::int64_t longest = model_.config().original_max_position_embeddings;
  return longest > 0 && cache_.length(row.place) == longest;
}

/// How many of its tokens have keys in its place that are as its own would be: all but the last at most, whose logits
/// are wanted.
std::int64_t BatchDecoder::reusable_tokens(const Row& row) const {
  const Left& left = left_[static_cast<std::size_t>(row.place)];
  if (!row.options.reuse_keys || left.adapter != row.options.adapter) return 0;
  const ModelConfig& config = model_.config();
  auto was = static_cast<std::int64_t>(left.ids.size()), is = static_cast<std::int64_t>(row.ids.size());
  if (std::int64_t longest = config.original_max_position_embeddings; longest > 0) {
    if ((was > longest) != (is > longest)) return 0;
  } else if (config.positions_turned_alike > 0 && std::max(was, is) > config.positions_turned_alike) {
    return 0;
  }
  return std::mismatch(left.ids.begin(), left.ids.end(), row.ids.begin(), row.ids.end() - 1).first - left.ids.begin();
}

/// What the cache does not have of the row, by itself: what its products sum over does not depend on other rows.
void BatchDecoder::read_rest(Row& row, std::vector<Token>& tokens) {
  std::span<const std::int32_t> rest = std::span(row.ids).subspan(static_cast<std::size_t>(cache_.length(row.place)));
  prompt_tokens_ += static_cast<std::int64_t>(rest.size());
  choose(next_logits({{.ids = rest, .labels = {}, .place = row.place}}, {row.options.adapter}, false), {&row}, tokens);
}

void BatchDecoder::read_whole(Row& row, std::vector<Token>& tokens) {
  cache_.clear(row.place);
  row.mixed = false;
  read_rest(row, tokens);
}

void BatchDecoder::decode(std::vector<Token>& tokens) {
  std::vector<BatchRow> rows;
  std::vector<std::string> adapters;
  std::vector<Row*> all;
  for (Row& row : running_) {
    if (turns_otherwise(row)) {
      read_whole(row, tokens);
      continue;
    }
    rows.push_back({.ids = std::span(row.ids).last(1), .labels = {}, .place = row.place});
    adapters.push_back(row.options.adapter);
    all.push_back(&row);
  }
  if (!all.empty()) choose(next_logits(rows, adapters, true), all, tokens);
  for (const Row& row : running_)
    if (row.ended) leave_place(row);
  std::erase_if(running_, [](const Row& row) { return row.ended; });
}

void BatchDecoder::start(Row row, std::vector<Token>& tokens) {
  row.place = free_.back();
  free_.pop_back();
  cache_.keep(row.place, reusable_tokens(row));
  read_rest(row, tokens);
  if (row.ended) return leave_place(row);
  auto behind =
      std::upper_bound(running_.begin(), running_.end(), row.options.adapter,
                       [](const std::string& adapter, const Row& other) { return adapter < other.options.adapter; });
  running_.insert(behind, std::move(row));
}

void BatchDecoder::leave_place(const Row& row) {
  Left& left = left_[static_cast<std::size_t>(row.place)];
  left = {};
  if (!row.mixed) left = {row.options.adapter, {row.ids.begin(), row.ids.begin() + cache_.length(row.place)}};
  free_.push_back(row.place);
}

}  // namespace loragrad
