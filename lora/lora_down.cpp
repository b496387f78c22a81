#include "lora/lora_down.h"

#include <optional>

#include "engine/node.h"
#include "lora/operand.h"

namespace loragrad {
namespace {

/// A factor as the products take it, and the columns of h that are its.
struct Part {
  Tensor a;
  Dropout dropout;
  bool rows_alone = false;
  std::int64_t begin = 0;

  std::int64_t rank() const { return a.rows(); }
  template <class M>
  M of(const M& h) const {
    return column_range(h, begin, rank());
  }
};

struct LoraDownNode final : Node {
  LoraDownNode(const Tensor& x, const std::vector<LoraFactor>& factors, std::vector<Part> formed, IndexRange tokens)
      : parts(std::move(formed)), tokens(tokens) {
    std::vector<Tensor> inputs{x};
    bool trained = false;
    for (const LoraFactor& factor : factors) {
      inputs.push_back(factor.a);
      trained = trained || factor.a.needs_grad();
    }
    set_inputs(inputs);
    if (trained) saved_x = save(x);  // drop(x) is made again
    for (Part& part : parts) {
      saved_a.push_back(save(part.a));
      part.a = {};
    }
  }

  std::string_view name() const override { return "lora_down"; }

  void backward(const Tensor& dh, GradSink& sink) override {
    std::int64_t count = tokens.end - tokens.begin;
    for (std::size_t i = 0; i < parts.size(); ++i) parts[i].a = saved(saved_a[i]);
    std::vector<GemmArgs> products;
    Tensor x;
    for (std::size_t i = 0; i < parts.size(); ++i) {  // dA = dhᵀ drop(x)
      if (!sink.needs(1 + i)) continue;
      if (!x.defined()) x = saved(*saved_x);
      auto da = sink.into(1 + i);
      products.push_back({.c = da.matrix,
                          .a = parts[i].of(dh.matrix()),
                          .b = row_range(x.matrix(), tokens.begin, count),
                          .transpose_a = true,
                          .beta = da.beta,
                          .dropout = parts[i].dropout.mask(),
                          .dropped = Dropped::b});
    }
    Device& device = *dh.device();
    device.kernels().gemm_list(device, {products});
    if (!sink.needs(0)) return;
    products.clear();
    auto dx = sink.into(0);
    for (const Part& part : parts)  // dx += drop(dh A)
      products.push_back({.c = row_range(dx.matrix, tokens.begin, count),
                          .a = part.of(dh.matrix()),
                          .b = part.a.matrix(),
                          .beta = products.empty() ? dx.beta : 1,
                          .dropout = part.dropout.mask(),
                          .dropped = Dropped::product});
    device.kernels().gemm_list(device, {products});
  }

  std::vector<Part> parts;
  IndexRange tokens;
  std::optional<std::size_t> saved_x;
  std::vector<std::size_t> saved_a;
};

}  // namespace

Tensor lora_down(const Tensor& x, const std::vector<LoraFactor>& factors, IndexRange tokens) {
  std::int64_t count = tokens.end - tokens.begin, rank = 0;
  std::vector<Part> parts;
  bool record = needs_grad({&x});
  for (const LoraFactor& factor : factors) {
    Part part{operand(factor.a, x.dtype()), factor.dropout, factor.rows_alone, rank};
    if (part.dropout.on()) part.dropout.tokens = part.dropout.tokens.rows(tokens.begin, count);
    rank += part.rank();
    record = record || needs_grad({&factor.a});
    parts.push_back(std::move(part));
  }
  Tensor h = Tensor::empty(x.device(), {count, rank}, x.dtype());
  std::vector<GemmArgs> products;
  for (const Part& part : parts)
    products.push_back({.c = part.of(h.mutable_matrix()),
                        .a = row_range(x.matrix(), tokens.begin, count),
                        .b = part.a.matrix(),
                        .transpose_b = true,
                        .dropout = part.dropout.mask(),
                        .dropped = Dropped::a,
                        .rows_alone = part.rows_alone});
  x.device()->kernels().gemm_list(*x.device(), {products});
  return record ? attach(h, std::make_shared<LoraDownNode>(x, factors, parts, tokens)) : h;
}

}  // namespace loragrad
