#include "train/evaluate.h"

#include <fmt/format.h>

#include <chrono>
#include <cmath>

#include "engine/error.h"
#include "train/step.h"

namespace loragrad {

std::vector<std::size_t> evaluation_batches(const Dataset& data, const EvalOptions& options) {
  std::vector<std::size_t> ends;
  std::int64_t tokens = 0;
  for (std::size_t row = 0; row < data.rows.size(); ++row) {
    auto size = static_cast<std::int64_t>(data.rows[row].input_ids.size());
    if (row > 0 && (options.logits || tokens + size > options.tokens_per_batch)) {
      ends.push_back(row);
      tokens = 0;
    }
    tokens += size;
  }
  if (!data.rows.empty()) ends.push_back(data.rows.size());
  return ends;
}

namespace {

/// What rows `begin` .. `end` have chosen.
std::vector<std::string> adapters_of(const StepRows& rows, std::size_t begin, std::size_t end) {
  std::vector<std::string> names;
  for (std::size_t row = begin; row < end; ++row) names.push_back(rows[row]->adapter);
  return names;
}

}  // namespace

Dataset heaviest_part(const Dataset& data, const EvalOptions& options) {
  Dataset heaviest;
  std::size_t begin = 0;
  for (std::size_t end : evaluation_batches(data, options)) {
    Dataset part;
    for (; begin < end; ++begin) {
      part.rows.push_back(data.rows[begin]);
      part.tokens += static_cast<std::int64_t>(data.rows[begin].input_ids.size());
    }
    if (part.tokens > heaviest.tokens) heaviest = std::move(part);
  }
  // An evaluation without a supervised token is refused, and the heaviest part may be one.
  for (Row& row : heaviest.rows) row.labels = row.input_ids;
  return heaviest;
}

EvalReport evaluate(const CausalLm& model, const Dataset& data, const EvalOptions& options) {
  auto start = std::chrono::steady_clock::now();
  StepRows rows;
  for (const Row& row : data.rows) rows.push_back(&row);
  EvalReport report;
  double sum = 0;
  bool stopped = false;
  std::size_t begin = 0;
  for (std::size_t end : evaluation_batches(data, options)) {
    Pass pass{.batch = batch_of(model, rows, begin, end),
              .adapters = options.adapters.for_rows(adapters_of(rows, begin, end)),
              .record = false};
    const Batch& batch = pass.batch;
    Tensor hidden;
    if (options.logits || batch.supervised > 0) hidden = model.hidden(pass);
    if (options.logits) options.logits(static_cast<std::int64_t>(begin), model.logits(hidden, pass));
    if (batch.supervised > 0) {
      double part = model.loss(hidden, pass, 1).sum.item();
      if (std::isnan(part)) part = std::fabs(part);  // a NaN may have a sign, which says nothing
      if (!std::isfinite(part) && report.not_finite.empty())
        report.not_finite =
            fmt::format("{}: rows {} to {}: expected a finite loss, found {}", data.path, begin + 1, end, part);
      sum += part;
      report.supervised_tokens += batch.supervised;
    }
    report.tokens += batch.tokens;
    report.rows += static_cast<std::int64_t>(end - begin);
    begin = end;
    if ((stopped = options.stop && options.stop())) break;
  }
  if (report.supervised_tokens > 0)
    report.loss = sum / static_cast<double>(report.supervised_tokens);
  else if (!stopped)
    throw InputError(data.path + ": expected supervised tokens, found none");
  report.perplexity = std::exp(report.loss);
  report.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return report;
}

}  // namespace loragrad
