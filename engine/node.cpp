#include "engine/node.h"

#include <algorithm>
#include <string>
#include <utility>

#include "engine/error.h"

namespace loragrad {

Saved::Saved(const Tensor& tensor) {
  if (!tensor.defined()) return;
  if (tensor.impl()->recipe) {
    recipe_ = tensor.impl()->recipe;
  } else {
    tensor_ = tensor.detach();
    version_ = tensor.version();
  }
}

namespace {
void check_version(std::string_view op, const Tensor& tensor, std::uint64_t saved) {
  if (tensor.version() != saved)
    throw UsageError(std::string(op) + ": a value saved for backward was changed in place (saved at version " +
                     std::to_string(saved) + ", now " + std::to_string(tensor.version()) + ")");
}
}  // namespace

Tensor Saved::get(std::string_view op) const {
  if (recipe_) return recipe_->value().detach();  // an owner of its own beside the recipe and its other savers
  check_version(op, tensor_, version_);
  return tensor_;
}

WeightView SavedParameter::view(std::string_view op) const {
  check_version(op, tensor_, version_);
  return weight_.view();
}

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

void set_to_zero(Tensor& t, const Region& part) {
  Matrix m = part_of(t.mutable_matrix(), part);
  t.device()->kernels().accumulate(*t.device(), {m, 0, m, 0});
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
    for (const Region& r : fresh) set_to_zero(buffer, r);
  unset = outside(unset, edge.part);
  if (slot.unset)
    *slot.unset = std::move(unset);
  else
    for (const Region& r : unset) set_to_zero(buffer, r);
  return {part_of(buffer.mutable_matrix(), edge.part), first ? 0.0 : 1.0};
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

Tensor Node::take_dy() {
  for (const Region& r : unset_) set_to_zero(dy_, r);
  unset_.clear();
  return std::exchange(dy_, Tensor());
}

Node::~Node() {
  // A chain of a hundred thousand nodes must not be freed recursively: each dying node hands its inputs to one list.
  std::vector<std::shared_ptr<Node>> dying;
  auto take = [&dying](std::vector<Edge>& edges) {
    for (auto& edge : edges)
      if (edge.node && edge.node.use_count() == 1) dying.push_back(std::move(edge.node));
    edges.clear();
  };
  take(edges_);
  while (!dying.empty()) {
    auto node = std::move(dying.back());
    dying.pop_back();
    take(node->edges_);
  }
}

std::size_t Node::saved_bytes() const {
  std::size_t bytes = 0;
  for (const auto& saved : saved_) bytes += saved.bytes();
  return bytes;
}

void Node::for_each_saved(const std::function<void(const Tensor&)>& visit) const {
  for (const auto& saved : saved_)
    if (saved.tensor().defined()) visit(saved.tensor());
}

std::vector<const Node*> Node::input_nodes() const {
  std::vector<const Node*> nodes;
  for (const auto& edge : edges_) nodes.push_back(edge.node.get());
  return nodes;
}

void Node::set_inputs(const std::vector<Tensor>& inputs) {
  for (const Tensor& input : inputs) {
    Edge edge;
    if (input.needs_grad()) {
      const std::shared_ptr<TensorImpl>& impl = input.impl();
      const std::shared_ptr<TensorImpl>& past = impl->whole ? impl->whole : impl;
      edge.node = past->node;
      if (!edge.node) edge.leaf = past;
      edge.shape = past->shape;
      edge.part = {impl->row, impl->col, input.shape()};
      edge.dtype = input.dtype();
      edge.device = input.device();
    }
    edges_.push_back(std::move(edge));
  }
}

std::size_t Node::save(const Tensor& tensor) {
  saved_.emplace_back(tensor);
  return saved_.size() - 1;
}

Tensor Node::take_saved(std::size_t slot) {
  Tensor value = saved(slot);
  saved_.at(slot) = Saved();
  return value;
}

void Node::release() {
  saved_.clear();
  std::vector<Edge> edges = std::move(edges_);
  edges_.clear();
  released_ = true;
}

bool needs_grad(std::initializer_list<const Tensor*> tensors) {
  for (const Tensor* tensor : tensors)
    if (tensor->needs_grad()) return true;
  return false;
}

Tensor attach(Tensor y, std::shared_ptr<Node> node) {
  y.impl()->node = std::move(node);
  return y;
}

}  // namespace loragrad
