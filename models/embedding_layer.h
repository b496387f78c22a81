#pragma once
// Threads: one at a time for each device (engine/device.h).
#include <memory>
#include <string>
#include <utility>

#include "models/linear_layer.h"

namespace loragrad {

/// The model's embedding, by its stored name. In a pass the adapters that are active on it are added; rows that are
/// trained by themselves stand in the place of the table's.
class EmbeddingLayer {
 public:
  EmbeddingLayer() = default;
  EmbeddingLayer(std::string name, ParameterSlot table) : name_(std::move(name)), table_(std::move(table)) {}

  /// scale times the rows of the pass's tokens, [tokens, d] of type `dtype`.
  Tensor operator()(const Pass& pass, DType dtype, double scale = 1) const;

  LinearShape shape() const;
  const std::string& name() const { return name_; }
  const ParameterSlot& table() const { return table_; }
  /// UsageError where the table is in training, or `rows` do not fit it.
  void replace(TrainedRows rows);
  bool has_rows() const { return !rows_.ids.empty(); }

 private:
  std::string name_;
  ParameterSlot table_;
  TrainedRows rows_;
};

}  // namespace loragrad
