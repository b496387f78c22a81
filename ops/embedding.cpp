#include "ops/embedding.h"

#include "engine/error.h"
#include "engine/node.h"
#include "ops/checks.h"

namespace loragrad {
namespace {

struct EmbeddingNode final : Node {
  EmbeddingNode(const Tensor& ids, const Tensor& table, double scale) : scale(scale) {
    set_inputs({table});
    saved_ids = save(ids);
  }
  std::string_view name() const override { return "embedding"; }
  void backward(const Tensor& dy, GradSink& sink) override {
    Device& device = *dy.device();
    Tensor ids = saved(saved_ids);
    auto into = sink.into(0);
    Matrix dtable = zeroed(device, into.matrix, into.beta);
    device.kernels().embedding_backward(
        device, {.dout = dy.matrix(), .ids = ids.data<std::int32_t>(), .dtable = dtable, .scale = scale});
  }
  double scale;
  std::size_t saved_ids;
};

}  // namespace

Tensor embedding(const Tensor& ids, const Parameter& table, DType dtype, double scale) {
  if (table.empty()) throw ShapeError("embedding: no table for ids " + ids.shape().text());
  if (table.layout() != WeightLayout::out_in)
    throw ShapeError("embedding: the table " + table.shape().text() + " must be stored [vocab, d]");
  check_indices("embedding", "ids", ids, {ids.rows(), 1}, table.shape());
  check_one_device("embedding", ids.device(), table.device());
  check_real("embedding", "y", dtype);
  Device& device = *ids.device();
  Tensor y = Tensor::empty(ids.device(), {ids.rows(), table.shape().cols}, dtype);
  device.kernels().embedding(
      device, {.table = table.view(), .ids = ids.data<std::int32_t>(), .out = y.mutable_matrix(), .scale = scale});
  return table.needs_grad() ? attach(y, std::make_shared<EmbeddingNode>(ids, table.tensor(), scale)) : y;
}

}  // namespace loragrad
