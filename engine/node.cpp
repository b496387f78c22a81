#include "engine/node.h"

#include <string>

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

Tensor Saved::get(std::string_view op) const {
  if (recipe_) return recipe_->value().detach();  // an owner of its own beside the recipe and its other savers
  if (tensor_.version() != version_)
    throw UsageError(std::string(op) + ": a value saved for backward was changed in place (saved at version " +
                     std::to_string(version_) + ", now " + std::to_string(tensor_.version()) + ")");
  return tensor_;
}

Tensor& GradSink::slot(std::size_t input) {
  const auto& edge = node_.edges_.at(input);
  if (!edge.node) return edge.leaf->grad;
  // Only where a tape inside a node reaches nodes of the tape outside: the gradient would be lost.
  if (edge.node->released_)
    throw UsageError("backward: " + std::string(edge.node->name()) + " has already run backward");
  return edge.node->dy_;
}

bool GradSink::needs(std::size_t input) const {
  const auto& edge = node_.edges_.at(input);
  return edge.node || edge.leaf;
}

GradSink::Into GradSink::into(std::size_t input) {
  const auto& edge = node_.edges_.at(input);
  Tensor& slot = this->slot(input);
  if (!slot.defined()) {
    slot = Tensor::empty(edge.device, edge.shape, edge.dtype);
    return {slot.mutable_matrix(), 0};
  }
  if (slot.owners() > 1) slot = slot.to(slot.dtype());  // somebody else reads it: copy on write
  return {slot.mutable_matrix(), 1};
}

GradSink::Into GradSink::into(std::size_t input, const Tensor& spare) {
  const auto& edge = node_.edges_.at(input);
  Tensor& slot = this->slot(input);
  bool fits = spare.defined() && spare.owners() == 1 && spare.shape() == edge.shape && spare.dtype() == edge.dtype &&
              spare.device() == edge.device;
  if (slot.defined() || !fits) return into(input);
  slot = spare.detach();
  return {slot.mutable_matrix(), 0};
}

void GradSink::pass(std::size_t input, const Tensor& gradient) {
  const auto& edge = node_.edges_.at(input);
  Tensor& slot = this->slot(input);
  if (!slot.defined() && gradient.dtype() == edge.dtype) {
    slot = gradient.detach();
    return;
  }
  Into target = into(input);
  edge.device->kernels().accumulate(*edge.device, gradient.matrix(), 1, target.matrix, target.beta);
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
      edge.node = input.impl()->node;
      if (!edge.node) edge.leaf = input.impl();
      edge.shape = input.shape();
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
