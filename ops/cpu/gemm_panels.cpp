#include "ops/cpu/gemm_panels.h"

#include <algorithm>
#include <vector>

#include "ops/cpu/gemm_tiles.h"
#include "ops/cpu/kernels.h"
#include "ops/cpu/scratch.h"

namespace loragrad::cpu {
namespace {

using Index = std::int64_t;
// Sums that are formed side by side: more keep more threads busy.
constexpr Index most_sums = 4, bytes_of_sums = 8 << 20;

bool is_sum(const PanelGemm& p) { return p.a && !p.g.transpose_a; }
Index count(const PanelGemm& p) { return p.c ? p.c.count(p.g.c.cols) : p.a.count(p.g.a.cols); }

/// The product of one panel.
GemmArgs part(const PanelGemm& p, Index i) {
  GemmArgs g = p.g;
  if (p.c) {
    Index first = i * p.c.width;
    Matrix c = panel(g.c, p.c, i);
    g = tile_of(g, 0, g.c.rows, first, c.cols);
    g.c = c;
    return g;
  }
  Index first = i * p.a.width;
  g.a = panel(g.a, p.a, i);
  if (g.transpose_a)
    g.c = row_range(g.c, first, g.a.cols);
  else
    g.b = g.transpose_b ? column_range(g.b, first, g.a.cols) : row_range(g.b, first, g.a.cols);
  return g;
}

std::vector<GemmArgs> all_parts(const PanelGemm& g) {
  std::vector<GemmArgs> all;
  for (Index i = 0; i < count(g); ++i) all.push_back(part(g, i));
  return all;
}

/// All at once where the tiles take them, else one after the other.
void multiply_all(Device& device, std::span<const GemmArgs> products, void* workspace) {
  if (is_tiled(products.front())) return multiply(device, products, workspace);
  for (const GemmArgs& g : products) gemm(device, g, workspace);
}
std::size_t workspace_of_all(Device& device, std::span<const GemmArgs> products) {
  if (is_tiled(products.front())) return multiply_workspace(device, products);
  std::size_t most = 0;
  for (const GemmArgs& g : products) most = std::max(most, scratch_bytes(device, g));
  return most;
}

/// The sum over panels as several sums, one behind the other in the first `bytes` of `memory`: panel i is a term of
/// sum i % size().
class Sums {
 public:
  Sums(const PanelGemm& product, void* memory) : p_(product), g_(product.g), memory_(static_cast<std::byte*>(memory)) {
    Index fit = bytes_of_sums / std::max<Index>(1, static_cast<Index>(bytes_of_one()));
    size_ = is_tiled(part(p_, 0)) ? std::min(std::clamp<Index>(fit, 1, most_sums), count(p_)) : 1;
  }
  Index size() const { return size_; }
  std::size_t bytes() const { return static_cast<std::size_t>(size_) * bytes_of_one(); }
  Matrix operator[](Index i) const {
    std::byte* at = memory_ ? memory_ + static_cast<std::size_t>(i) * bytes_of_one() : nullptr;
    return {at, type(), g_.c.rows, g_.c.cols, g_.c.cols};
  }
  /// The products of the panels from `first` on, one for each sum.
  std::vector<GemmArgs> terms(Index first) const {
    std::vector<GemmArgs> all;
    for (Index i = first; i < std::min(first + size_, count(p_)); ++i) {
      GemmArgs g = part(p_, i);
      g.c = (*this)[i - first];
      g.beta = first > 0;
      all.push_back(g);
    }
    return all;
  }

 private:
  DType type() const { return accumulation_type(g_.c.dtype); }
  std::size_t bytes_of_one() const { return whole_lines(bytes_of(type(), g_.c.rows * g_.c.cols)); }
  const PanelGemm& p_;
  const GemmArgs& g_;
  std::byte* memory_;
  Index size_;
};

}  // namespace

std::size_t gemm_panels_workspace(Device& device, const PanelGemm& g) {
  if (!is_sum(g)) return workspace_of_all(device, all_parts(g));
  Sums sums(g, nullptr);
  std::size_t most = 0;  // the first products overwrite, the last may be narrower, and those between are all alike
  for (Index first : {Index{0}, sums.size(), (count(g) - 1) / sums.size() * sums.size()})
    if (first < count(g)) most = std::max(most, workspace_of_all(device, sums.terms(first)));
  return sums.bytes() + most;
}

void gemm_panels(Device& device, const PanelGemm& p, void* workspace) {
  if (!is_sum(p)) return multiply_all(device, all_parts(p), workspace);
  Sums sums(p, workspace);
  void* scratch = static_cast<std::byte*>(workspace) + sums.bytes();
  for (Index first = 0; first < count(p); first += sums.size()) multiply_all(device, sums.terms(first), scratch);
  for (Index i = 1; i < sums.size(); ++i) accumulate(device, {sums[i], 1, sums[0], 1});
  accumulate(device, {sums[0], 1, p.g.c, p.g.beta});
}

}  // namespace loragrad::cpu
