#include "lora/lora_embedding.h"

#include "engine/error.h"
#include "lora/lora_up_node.h"
#include "ops/checks.h"

namespace loragrad {
namespace {

/// Row k of A [r, vocab] as a table of vectors of length one: so the kernels of an embedding look its columns up, and
/// add to them, and A lies as PEFT's file has it.
template <class M>
M as_table(M a, std::int64_t k) {
  M row = row_range(a, k, 1);
  row.rows = a.cols;
  row.cols = row.stride = 1;
  return row;
}

/// h[t] = A[:, ids[t]]
struct LookUpNode final : Node {
  LookUpNode(const Tensor& ids, const Tensor& a) {
    set_inputs({a});
    saved_ids = save(ids);
  }
  std::string_view name() const override { return "lora_embedding (A)"; }
  void backward(const Tensor& dh, GradSink& sink) override {
    Device& device = *dh.device();
    Tensor ids = saved(saved_ids);
    auto into = sink.into(0);
    Matrix da = zeroed(device, into.matrix, into.beta);
    for (std::int64_t k = 0; k < da.rows; ++k)
      device.kernels().embedding_backward(
          device,
          {.dout = column_range(dh.matrix(), k, 1), .ids = ids.data<std::int32_t>(), .dtable = as_table(da, k)});
  }
  std::size_t saved_ids;
};

Tensor look_up(const Tensor& ids, const Tensor& a, DType dtype) {
  Device& device = *ids.device();
  Tensor h = Tensor::empty(ids.device(), {ids.rows(), a.rows()}, dtype);
  Matrix columns = h.mutable_matrix();
  for (std::int64_t k = 0; k < a.rows(); ++k)
    device.kernels().embedding(
        device,
        {.table = as_table(a.matrix(), k), .ids = ids.data<std::int32_t>(), .out = column_range(columns, k, 1)});
  return a.needs_grad() ? attach(h, std::make_shared<LookUpNode>(ids, a)) : h;
}

/// A frozen table has nothing for backward.
struct FrozenTable : Node {
  explicit FrozenTable(const std::vector<Tensor>& of_terms) { set_inputs(of_terms); }
};

struct LoraEmbeddingNode final : LoraUpNode<FrozenTable> {
  LoraEmbeddingNode(const LoraMap& map, const std::vector<FormedTerm>& formed) : LoraUpNode(0, map, formed) {}

  std::string_view name() const override { return "lora_embedding"; }

  void backward(const Tensor& dy, GradSink& sink) override {
    for (const Term& term : terms()) {
      ConstMatrix part = term.part(dy.matrix());
      if (!term.rescales) {
        backward_product(term, part, sink);
        continue;
      }
      backward_magnitude(term, dy, sink);
      Tensor scaled = Tensor::empty(dy.device(), {part.rows, part.cols}, dy.dtype());
      scale_by_magnitude(term, part, term.weight, 0, scaled.mutable_matrix());
      backward_product(term, scaled.matrix(), sink);
    }
  }
};

void check(const Tensor& ids, const LoraMap& map, DType dtype) {
  if (map.w.empty()) throw ShapeError("lora_embedding: no table for ids " + ids.shape().text());
  if (map.w.layout() != WeightLayout::in_out)
    throw ShapeError("lora_embedding: the table " + map.w.shape().text() + " must be stored [vocab, d]");
  if (map.w.needs_grad())
    throw UsageError("lora_embedding: expected a frozen table beside adapters, found one in training");
  check_indices("lora_embedding", "ids", ids, {ids.rows(), 1}, map.w.shape());
  check_one_device("lora_embedding", ids.device(), map.w.device());
  check_real("lora_embedding", "y", dtype);
  check_terms("lora_embedding", ids.device(), ids.rows(), map);
  for (const LoraTerm& term : map.terms)
    if (term.dropout.on()) throw UsageError("lora_embedding: expected no dropout, found some");
}

}  // namespace

Tensor lora_embedding(const Tensor& ids, const LoraMap& map, DType dtype, double scale) {
  check(ids, map, dtype);
  std::vector<FormedTerm> terms;
  for (const LoraTerm& term : map.terms) {
    IndexRange tokens = tokens_of(term, ids.rows());
    terms.push_back(form_term(map.w, term, tokens, dtype, scale));
    terms.back().h = look_up(ids.rows(tokens.begin, tokens.end - tokens.begin), term.a, dtype);
  }
  Device& device = *ids.device();
  Tensor y = Tensor::empty(ids.device(), {ids.rows(), map.w.out_features()}, dtype);
  Matrix out = y.mutable_matrix();
  device.kernels().embedding(device,
                             {.table = map.w.view(), .ids = ids.data<std::int32_t>(), .out = out, .scale = scale});
  add_terms(terms, {}, map.w.weight(), {}, out);
  return needs_grad(map, terms) ? attach(y, std::make_shared<LoraEmbeddingNode>(map, terms)) : y;
}

}  // namespace loragrad
