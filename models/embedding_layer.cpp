#include "models/embedding_layer.h"

#include <algorithm>
#include <vector>

#include "engine/error.h"
#include "lora/lora_embedding.h"
#include "models/active_terms.h"
#include "ops/embedding.h"
#include "ops/embedding_with_rows.h"

namespace loragrad {
namespace {

/// The table as the map of one-hot rows: the same bytes, [vocab, d] = [in, out].
Weight as_map(const Weight& table) {
  return {table.device(),      table.view().data, table.dtype(), table.shape(), std::make_shared<Weight>(table),
          WeightLayout::in_out};
}

RowsInPlace in_place(const TrainedRows& rows, const Batch& batch) {
  std::vector<std::int32_t> tokens, slots;
  for (std::size_t t = 0; t < batch.ids_on_host.size(); ++t) {
    auto found = std::find(rows.ids.begin(), rows.ids.end(), batch.ids_on_host[t]);
    if (found == rows.ids.end()) continue;
    tokens.push_back(static_cast<std::int32_t>(t));
    slots.push_back(static_cast<std::int32_t>(found - rows.ids.begin()));
  }
  Shape column{static_cast<std::int64_t>(tokens.size()), 1};
  const DevicePtr& device = rows.values.device();
  return {rows.values, Tensor::from(device, column, std::move(tokens)), Tensor::from(device, column, std::move(slots))};
}

}  // namespace

Tensor EmbeddingLayer::operator()(const Pass& pass, DType dtype, double scale) const {
  const Tensor& ids = pass.batch.ids;
  LoraMap map;
  add_active_terms(map, name_, pass);
  if (map.terms.empty())
    return has_rows() ? embedding_with_rows(ids, table_->weight(), in_place(rows_, pass.batch), dtype, scale)
                      : embedding(ids, *table_, dtype, scale);
  if (has_rows()) throw UsageError(name_ + ": expected trained tokens or an adapter, found both");
  if (table_->needs_grad())
    throw UsageError(name_ + ": expected a frozen table beside adapters, found one in training");
  map.w = as_map(table_->weight());
  return lora_embedding(ids, map, dtype, scale);
}

LinearShape EmbeddingLayer::shape() const {
  Shape shape = table_->shape();
  return {.name = name_,
          .in = shape.rows,
          .out = shape.cols,
          .layout = WeightLayout::in_out,
          .weight = as_map(table_->weight()),
          .is_embedding = true};
}

void EmbeddingLayer::replace(TrainedRows rows) {
  if (table_->needs_grad()) throw UsageError(name_ + ": expected a frozen table beside trained tokens, found another");
  if (rows.values.cols() != table_->shape().cols)
    throw UsageError(name_ + ": expected rows of " + std::to_string(table_->shape().cols) + ", found " +
                     rows.values.shape().text());
  rows_ = std::move(rows);
}

}  // namespace loragrad
