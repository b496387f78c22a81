#include "app/training/learnable.h"

#include <fmt/format.h>

#include <algorithm>

#include "app/end_tokens.h"
#include "app/terminal/console.h"
#include "models/generate/head_row.h"

namespace loragrad {
namespace {

void warn_of_unread_columns(const Dataset& data) {
  for (const std::string& column : data.unread_columns)
    warn(data.path + ": " + column +
         (column == "position_ids" ? " are not read: the positions of every row count from 0"
          : column == "adapter"    ? " is not read: one training is of all rows"
          : column == "prompt"     ? " is not read beside messages"
                                   : " is not read: without labels every token is supervised (-100 is no loss)"));
}

}  // namespace

bool is_supervised(const Dataset& data, TokenId id) {
  return std::any_of(data.rows.begin(), data.rows.end(), [id](const Row& row) {
    return !row.labels.empty() && std::find(row.labels.begin() + 1, row.labels.end(), id) != row.labels.end();
  });
}

void check_rates(const TrainOptions& options, std::int64_t rows) {
  double highest = options.highest_lr(rows);
  if (options.lr == 0)
    warn("--lr 0: no step has a learning rate, and nothing will be learnt");
  else if (highest < options.lr)
    warn(fmt::format(
        "--lr {} is never reached: --warmup-steps {} is no less than the run's {} steps; the highest is {:.3g}",
        options.lr, options.warmup_steps, options.total_steps(rows), highest));
}

void warn_of_rows(const Dataset& data) {
  if (data.cut_rows > 0)
    warn(fmt::format(
        "{}: {} of {} rows were longer than --seq-len and lost their end{}", data.path, data.cut_rows, data.rows.size(),
        data.emptied_rows > 0
            ? fmt::format("; {} of them lost all their supervised tokens, and teach nothing", data.emptied_rows)
            : ""));
  warn_of_unread_columns(data);
  if (data.unsupervised_rows > 0)
    warn(fmt::format("{}: {} of {} rows have no supervised token, and teach nothing", data.path, data.unsupervised_rows,
                     data.rows.size()));
  if (data.mismatched_prompts > 0)
    warn(
        fmt::format("{}: {} of {} rows begin with other tokens than their prompt alone, where generation starts "
                    "(often a space at the prompt's end, which belongs to the completion's start)",
                    data.path, data.mismatched_prompts, data.rows.size()));
}

namespace {

bool trains_row_of_head(const CausalLm& model, const Adapter& adapter, TokenId id) {
  const auto& rows = adapter.rows_of_base;
  return std::any_of(rows.begin(), rows.end(), [&](const TrainedRows& each) {
    bool of_head = each.module != model.embedding_name() || model.is_tied();
    return of_head && std::count(each.ids.begin(), each.ids.end(), id) > 0;
  });
}

}  // namespace

void warn_of_untrained_ends(const CausalLm& model, const Adapter& adapter, const Dataset& data,
                            const Tokenizer* tokenizer) {
  const auto& trained = adapter.parameters_of_base;
  if (std::any_of(trained.begin(), trained.end(), [](const auto& each) { return each.name == head_name; })) return;
  const auto& modules = adapter.modules;
  if (std::any_of(modules.begin(), modules.end(), [](const auto& each) { return each.name == head_module; })) return;
  for (TokenId id : end_tokens(model.config(), tokenizer)) {
    if (!is_supervised(data, id) || trains_row_of_head(model, adapter, id)) continue;
    HeadRow row = head_row(model, id);
    if (row.equal == 0 && !row.zero) continue;
    warn(
        fmt::format("end token {}: its row of {} is {}, as if never trained, so generation may not end: --target does "
                    "not train it; {} and --full do",
                    token_text(id, tokenizer), row.parameter,
                    row.equal > 0 ? fmt::format("equal to those of {} other tokens", row.equal) : "all zeros",
                    model.is_tied() ? fmt::format("--trainable-tokens {}", id) : "--modules-to-save lm_head"));
  }
}

void warn_if_nothing_was_learnt(const TrainResult& result) {
  if (result.learning_steps > 0) return;
  warn(
      fmt::format("none of the {} steps had both a learning rate and a supervised token: nothing was learnt, and that "
                  "every module can learn was not tested",
                  result.steps));
}

}  // namespace loragrad
