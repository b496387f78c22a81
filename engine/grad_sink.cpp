#include <algorithm>
#include <string>

#include "engine/error.h"
#include "engine/node.h"

namespace loragrad {
namespace {

Region common(const Region& a, const Region& b) {
  std::int64_t row = std::max(a.row, b.row), col = std::max(a.col, b.col);
  std::int64_t rows = std::min(a.row + a.shape.rows, b.row + b.shape.rows) - row;
  std::int64_t cols = std::min(a.col + a.shape.cols, b.col + b.shape.cols) - col;
  return rows > 0 && cols > 0 ? Region{row, col, {rows, cols}} : Region{};
}

/// What of `regions` lies outside `part`: above it, below, left and right.
std::vector<Region> outside(const std::vector<Region>& regions, const Region& part) {
  std::vector<Region> rest;
  for (const Region& r : regions) {
    Region c = common(r, part);
    if (c.shape.numel() == 0) {
      rest.push_back(r);
      continue;
    }
    std::int64_t above = c.row - r.row, below = r.shape.rows - above - c.shape.rows;
    std::int64_t left = c.col - r.col, right = r.shape.cols - left - c.shape.cols;
    for (const Region& piece :
         {Region{r.row, r.col, {above, r.shape.cols}}, Region{c.row + c.shape.rows, r.col, {below, r.shape.cols}},
          Region{c.row, r.col, {c.shape.rows, left}}, Region{c.row, c.col + c.shape.cols, {c.shape.rows, right}}})
      if (piece.shape.numel() > 0) rest.push_back(piece);
  }
  return rest;
}

}  // namespace

struct GradSink::Slot {
  Tensor& buffer;
  std::vector<Region>* unset;  // null: a leaf's, which is whole at any time
};

GradSink::Slot GradSink::slot(std::size_t input) {
  const auto& edge = node_.edges_.at(input);
  if (!edge.node) return {edge.leaf->grad, nullptr};
  // Only where a tape inside a node reaches nodes of the tape outside: the gradient would be lost.
  if (edge.node->released_)
    throw UsageError("backward: " + std::string(edge.node->name()) + " has already run backward");
  return {edge.node->dy_, &edge.node->unset_};
}

bool GradSink::needs(std::size_t input) const {
  const auto& edge = node_.edges_.at(input);
  return edge.node || edge.leaf;
}

GradSink::Into GradSink::into(std::size_t input) {
  const auto& edge = node_.edges_.at(input);
  Slot slot = this->slot(input);
  Tensor& buffer = slot.buffer;
  std::vector<Region> unset;
  if (!buffer.defined()) {
    buffer = Tensor::empty(edge.device, edge.shape, edge.dtype);
    unset = {{0, 0, edge.shape}};
  } else {
    if (!buffer.is_sole_owner()) buffer = buffer.to(buffer.dtype());  // somebody else reads it: copy on write
    if (slot.unset) unset = std::move(*slot.unset);
  }
  std::vector<Region> fresh;
  for (const Region& r : unset)
    if (Region c = common(r, edge.part); c.shape.numel() > 0) fresh.push_back(c);
  std::int64_t fresh_elements = 0;
  for (const Region& r : fresh) fresh_elements += r.shape.numel();
  bool first = fresh_elements == edge.part.shape.numel();
  if (!first)
    for (const Region& r : fresh) buffer.view(r).fill(0);
  unset = outside(unset, edge.part);
  if (slot.unset)
    *slot.unset = std::move(unset);
  else
    for (const Region& r : unset) buffer.view(r).fill(0);
  return {buffer.view(edge.part).mutable_matrix(), first ? 0.0 : 1.0};
}

GradSink::Into GradSink::into(std::size_t input, const Tensor& spare) {
  const auto& edge = node_.edges_.at(input);
  Tensor& buffer = slot(input).buffer;
  bool fits = spare.defined() && spare.is_sole_owner() && spare.shape() == edge.shape &&
              edge.part.shape == edge.shape && spare.dtype() == edge.dtype && spare.device() == edge.device;
  if (buffer.defined() || !fits) return into(input);
  buffer = spare.detach();
  return {buffer.mutable_matrix(), 0};
}

void GradSink::pass(std::size_t input, const Tensor& gradient) {
  const auto& edge = node_.edges_.at(input);
  Tensor& buffer = slot(input).buffer;
  if (!buffer.defined() && gradient.dtype() == edge.dtype && gradient.shape() == edge.shape) {
    buffer = gradient.detach();
    return;
  }
  Into target = into(input);
  edge.device->kernels().accumulate(*edge.device, {gradient.matrix(), 1, target.matrix, target.beta});
}

}  // namespace loragrad
