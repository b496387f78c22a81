#include "ops/cuda/thin.h"

#include <algorithm>

#include "ops/cuda/thin_shapes.h"

namespace loragrad::cuda {
namespace {

bool has_types(const GemmArgs& g, bool is_outer) {
  DType a = g.a.dtype, b = g.b.dtype, c = g.c.dtype;
  if (a != DType::bf16) return (a == DType::f32 || a == DType::f64) && b == a && c == a;
  return (b == DType::bf16 || (b == DType::f32 && !is_outer)) && (c == DType::bf16 || c == DType::f32);
}

bool same(const ConstMatrix& a, const ConstMatrix& b) {
  return a.data == b.data && a.dtype == b.dtype && a.rows == b.rows && a.cols == b.cols && a.stride == b.stride;
}

}  // namespace

ThinShape thin_shape(const GemmArgs& g) {
  if (g.bias || !has_types(g, g.transpose_a)) return ThinShape::none;
  auto may_drop = [&](Dropped what) { return !g.dropout.on() || g.dropped == what; };
  if (g.transpose_a) {
    std::int64_t rank = g.dropout.on() ? g.c.rows : std::min(g.c.rows, g.c.cols);
    return !g.transpose_b && may_drop(Dropped::b) && rank <= most_rank ? ThinShape::outer : ThinShape::none;
  }
  bool down = g.c.cols <= most_rank && may_drop(Dropped::a), up = inner(g) <= most_rank && may_drop(Dropped::product);
  if (down && up) return g.c.cols <= inner(g) ? ThinShape::down : ThinShape::up;
  return down ? ThinShape::down : up ? ThinShape::up : ThinShape::none;
}

bool wide_is_b(const GemmArgs& g) { return g.dropout.on() || g.c.rows <= g.c.cols; }

bool is_thin(const GemmArgs& g) { return thin_shape(g) != ThinShape::none; }

bool go_together(const GemmArgs& first, const GemmArgs& next) {
  ThinShape shape = thin_shape(first);
  if (shape == ThinShape::none || shape != thin_shape(next) || first.transpose_b != next.transpose_b ||
      first.a.dtype != next.a.dtype)
    return false;
  if (may_overlap(first.c, next.a) || may_overlap(first.c, next.b) || may_overlap(next.c, first.a) ||
      may_overlap(next.c, first.b))
    return false;
  if (shape == ThinShape::up) return same(first.c, next.c) && next.beta == 1;
  if (may_overlap(first.c, next.c)) return false;
  if (shape == ThinShape::down) return same(first.a, next.a);
  if (wide_is_b(first) != wide_is_b(next)) return false;
  return wide_is_b(first) ? same(first.b, next.b) : same(first.a, next.a);
}

std::size_t thin_scratch(Device&, ThinProducts products) {
  ThinShape shape = thin_shape(products.front());
  if (products.front().a.dtype == DType::bf16)
    return shape == ThinShape::down    ? thin_down_scratch(products)
           : shape == ThinShape::outer ? thin_outer_scratch(products)
                                       : 0;
  std::size_t most = 0;
  for (const GemmArgs& g : products) most = std::max(most, thin_fma_scratch(g));
  return most;
}

void thin(Device& device, ThinProducts products, void* scratch) {
  const GemmArgs& first = products.front();
  if (first.a.dtype != DType::bf16) {
    for (const GemmArgs& g : products) thin_fma(device, g, scratch);
    return;
  }
  switch (thin_shape(first)) {
    case ThinShape::down:
      return thin_down(device, products, scratch);
    case ThinShape::up:
      return thin_up(device, products);
    default:
      return thin_outer(device, products, scratch);
  }
}

}  // namespace loragrad::cuda
