#include "engine/node.h"

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

Tensor Node::take_dy() {
  for (const Region& part : unset_) dy_.view(part).fill(0);
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
