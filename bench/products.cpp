#include "bench/products.h"

#include <algorithm>
#include <map>

#include "bench/random_tensor.h"
#include "ops/cpu/gemm_library.h"
#include "ops/cpu/processor.h"
#include "ops/gemm.h"

namespace loragrad::bench {
namespace {

/// One piece of memory for each type, which all matrices that play the same part share.
class Pool {
 public:
  void want(const ConstMatrix& m) { elements_[m.dtype] = std::max(elements_[m.dtype], m.rows * m.stride); }
  void make(const DevicePtr& device) {
    for (const auto& [dtype, count] : elements_) tensors_[dtype] = random_tensor(device, {1, count}, dtype);
  }
  void* of(DType dtype) { return tensors_.at(dtype).mutable_matrix().data; }
  void append_to(std::vector<Tensor>& all) const {
    for (const auto& [dtype, tensor] : tensors_) all.push_back(tensor);
  }

 private:
  std::map<DType, std::int64_t> elements_;
  std::map<DType, Tensor> tensors_;
};

/// b as a weight that needs no conversion.
WeightView in_type_of_a(const GemmArgs& g) {
  WeightView b = g.b;
  b.dtype = g.a.dtype;
  return b;
}

/// Whether b lasts longer than the step: a weight's gradient is a product of what does not.
bool is_weight(const GemmArgs& g) { return !g.transpose_a; }

}  // namespace

double flops(const GemmArgs& g) {
  return 2 * static_cast<double>(g.c.rows) * static_cast<double>(g.c.cols) * static_cast<double>(inner(g));
}

void Products::record(const GemmArgs& g) {
  // The dimensions that no number of tokens is.
  bool adapters = std::min(g.c.cols, g.transpose_a ? g.c.rows : inner(g)) <= rank_;
  (adapters ? adapter_flops_ : model_flops_) += flops(g);
  if (!adapters) model_.push_back(g);
}

void Products::record(const HeadLossArgs& h) {
  // The head goes by tiles of tokens, whose logits take about so much.
  constexpr std::int64_t tile_bytes = 48 << 20;
  DType wide = accumulation_type(h.x.dtype);
  std::int64_t vocab = h.head.rows, fit = std::max<std::int64_t>(16, tile_bytes / (vocab * 4) / 16 * 16);
  for (std::int64_t begin = 0; begin < h.count; begin += fit) {
    std::int64_t rows = std::min(fit, h.count - begin);
    ConstMatrix x{nullptr, h.x.dtype, rows, h.x.cols, h.x.cols}, dz{nullptr, h.x.dtype, rows, vocab, vocab};
    record({.c = {nullptr, wide, rows, vocab, vocab}, .a = x, .b = h.head, .transpose_b = true});
    if (h.dx.rows > 0) record({.c = {nullptr, h.x.dtype, rows, h.x.cols, h.x.cols}, .a = dz, .b = h.head});
    if (h.dhead.rows > 0) record({.c = h.dhead, .a = dz, .b = x, .transpose_a = true, .beta = 1});
  }
}

void Products::give_operands(const DevicePtr& device) {
  Pool a, b, c;
  for (const GemmArgs& g : model_) {
    a.want(g.a);
    c.want(g.c);
    b.want(in_type_of_a(g));
  }
  for (Pool* pool : {&a, &b, &c}) {
    pool->make(device);
    pool->append_to(operands_);
  }
  for (GemmArgs& g : model_) {
    g.a.data = a.of(g.a.dtype);
    g.c.data = c.of(g.c.dtype);
    if (!is_weight(g)) g.b.data = b.of(g.b.dtype);
    for_library_.push_back(g);
    if (g.b.dtype == g.a.dtype) continue;
    for_library_.back().b = in_type_of_a(g);
    for_library_.back().b.data = b.of(g.a.dtype);
  }
}

void Products::run(Device& device) const {
  for (const GemmArgs& g : model_) gemm(device, g);
}

void Products::run_by_library(Device& device) const {
  int threads = cpu::threads_of(device).size();
  for (const GemmArgs& g : for_library_) {
    Workspace scratch(device, cpu::library_scratch(g, threads));
    cpu::library_gemm(g, scratch.data(), threads);
  }
}

bool Products::library_takes() const {
  DType dtype = for_library_.front().a.dtype;
  return dtype == DType::f32 || (dtype == DType::bf16 && cpu::library_has_bf16());
}

}  // namespace loragrad::bench
