#include "ops/embedding_with_rows.h"

#include "engine/error.h"
#include "engine/node.h"
#include "ops/checks.h"
#include "ops/embedding.h"

namespace loragrad {
namespace {

struct RowsNode final : Node {
  RowsNode(const RowsInPlace& rows, double scale) : scale(scale) {
    set_inputs({rows.values});
    saved_tokens = save(rows.tokens);
    saved_slots = save(rows.slots);
  }
  std::string_view name() const override { return "embedding_with_rows"; }
  void backward(const Tensor& dy, GradSink& sink) override {
    Device& device = *dy.device();
    Tensor tokens = saved(saved_tokens), slots = saved(saved_slots);
    Tensor part = Tensor::empty(dy.device(), {tokens.rows(), dy.cols()}, dy.dtype());
    device.kernels().embedding(
        device, {.table = dy.matrix(), .ids = tokens.data<std::int32_t>(), .out = part.mutable_matrix()});
    auto into = sink.into(0);
    device.kernels().embedding_backward(device, {.dout = part.matrix(),
                                                 .ids = slots.data<std::int32_t>(),
                                                 .dtable = zeroed(device, into.matrix, into.beta),
                                                 .scale = scale});
  }
  double scale;
  std::size_t saved_tokens, saved_slots;
};

}  // namespace

Tensor embedding_with_rows(const Tensor& ids, const Weight& table, const RowsInPlace& rows, DType dtype, double scale) {
  if (rows.values.cols() != table.shape().cols)
    throw ShapeError("embedding_with_rows: rows " + rows.values.shape().text() + " do not fit a table of " +
                     table.shape().text());
  check_one_device("embedding_with_rows", ids.device(), rows.values.device());
  check_indices("embedding_with_rows", "slots", rows.slots, {rows.tokens.rows(), 1}, rows.values.shape());
  check_indices("embedding_with_rows", "tokens", rows.tokens, {rows.tokens.rows(), 1}, ids.shape());
  Tensor y = embedding(ids, table, dtype, scale);
  Device& device = *ids.device();
  Tensor part = Tensor::empty(ids.device(), {rows.tokens.rows(), y.cols()}, dtype);
  device.kernels().embedding(device, {.table = rows.values.matrix(),
                                      .ids = rows.slots.data<std::int32_t>(),
                                      .out = part.mutable_matrix(),
                                      .scale = scale});
  device.kernels().put_rows(device,
                            {.x = part.matrix(), .rows = rows.tokens.data<std::int32_t>(), .y = y.mutable_matrix()});
  return rows.values.needs_grad() ? attach(y, std::make_shared<RowsNode>(rows, scale)) : y;
}

}  // namespace loragrad
