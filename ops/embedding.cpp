#include "ops/embedding.h"

#include "engine/error.h"
#include "engine/node.h"
#include "ops/checks.h"

namespace loragrad {
namespace {

struct EmbeddingNode final : Node {
  EmbeddingNode(const Tensor& ids, const Tensor& table) {
    set_inputs({table});
    saved_ids = save(ids);
  }
  std::string_view name() const override { return "embedding"; }
  void backward(const Tensor& dy, GradSink& sink) override {
    Device& device = *dy.device();
    Tensor ids = saved(saved_ids);
    auto into = sink.into(0);
    Matrix dtable = zeroed(device, into.matrix, into.beta);
    device.kernels().embedding_backward(device,
                                        {.dout = dy.matrix(), .ids = ids.data<std::int32_t>(), .dtable = dtable});
  }
  std::size_t saved_ids;
};

Tensor look_up(const Tensor& ids, const ConstMatrix& table, const DevicePtr& table_device, DType dtype) {
  check_indices("embedding", "ids", ids, {ids.rows(), 1}, {table.rows, table.cols});
  check_one_device("embedding", ids.device(), table_device);
  check_real("embedding", "y", dtype);
  Tensor y = Tensor::empty(ids.device(), {ids.rows(), table.cols}, dtype);
  ids.device()->kernels().embedding(*ids.device(),
                                    {.table = table, .ids = ids.data<std::int32_t>(), .out = y.mutable_matrix()});
  return y;
}

}  // namespace

Tensor embedding(const Tensor& ids, const Weight& table, DType dtype) {
  if (table.empty()) throw ShapeError("embedding: no table for ids " + ids.shape().text());
  if (table.layout() != WeightLayout::out_in)
    throw ShapeError("embedding: the table " + table.shape().text() + " must be stored [vocab, d]");
  return look_up(ids, table.matrix(), table.device(), dtype);
}

Tensor embedding(const Tensor& ids, const Tensor& table, DType dtype) {
  Tensor y = look_up(ids, table.matrix(), table.device(), dtype);
  return needs_grad({&table}) ? attach(y, std::make_shared<EmbeddingNode>(ids, table)) : y;
}

}  // namespace loragrad
