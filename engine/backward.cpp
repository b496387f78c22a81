#include "engine/backward.h"

#include <string>
#include <unordered_set>

#include "engine/error.h"

namespace loragrad {

/// The one function that walks nodes' insides; a class so that Node can name it a friend.
class Tape {
 public:
  static void run(const Tensor& y, const Tensor& dy, const NodeVisitor& visit) {
    std::shared_ptr<Node> root = y.impl()->past().node;
    count_consumers(root.get());
    root->dy_ = dy.detach();
    std::vector<std::shared_ptr<Node>> ready{root};
    root.reset();
    while (!ready.empty()) {
      std::shared_ptr<Node> node = std::move(ready.back());
      ready.pop_back();
      Tensor gradient = node->take_dy();
      // A node none of whose consumers passed anything on has nothing to add, but its inputs still wait for it.
      if (gradient.defined()) {
        if (visit) visit(*node);
        GradSink sink(*node);
        node->backward(gradient, sink);
        gradient = Tensor();
      }
      for (auto& edge : node->edges_)
        if (edge.node && --edge.node->consumers_ == 0) ready.push_back(edge.node);
      node->release();
    }
  }

 private:
  static void count_consumers(Node* root) {
    std::unordered_set<Node*> seen{root};
    std::vector<Node*> todo{root};
    while (!todo.empty()) {
      Node* node = todo.back();
      todo.pop_back();
      if (node->released_) throw UsageError("backward: " + std::string(node->name()) + " has already run backward");
      for (auto& edge : node->edges_) {
        if (!edge.node) continue;
        if (seen.insert(edge.node.get()).second) {
          edge.node->consumers_ = 0;
          todo.push_back(edge.node.get());
        }
        ++edge.node->consumers_;
      }
    }
  }
};

void backward(const Tensor& y, const Tensor& dy, const NodeVisitor& visit) {
  if (!y.defined() || !y.impl()->past().node)
    throw UsageError("backward: the value does not depend on anything trainable");
  if (Modes::of_this_thread().unrecorded)
    throw UsageError("backward: expected a thread that records, found one that does not");
  Tensor seed = dy;
  if (!seed.defined()) {
    if (y.numel() != 1) throw ShapeError("backward: without dy the value must be a scalar, found " + y.shape().text());
    seed = Tensor::empty(y.device(), y.shape(), y.dtype());
    seed.fill(1);
  }
  if (seed.shape() != y.shape() || seed.dtype() != y.dtype())
    throw ShapeError("backward: dy is " + seed.shape().text() + " " + std::string(name_of(seed.dtype())) +
                     ", the value is " + y.shape().text() + " " + std::string(name_of(y.dtype())));
  if (seed.matrix().stride != seed.cols()) seed = seed.to(seed.dtype());  // nodes are given rows that lie together
  if (const TensorImpl& part = *y.impl(); part.whole) {
    Tensor of_whole = Tensor::zeros(y.device(), part.whole->shape, y.dtype());
    Matrix target = of_whole.view({part.row, part.col, part.shape}).mutable_matrix();
    y.device()->kernels().accumulate(*y.device(), {seed.matrix(), 1, target, 0});
    seed = of_whole;
  }
  Tape::run(y, seed, visit);
}

void for_each_node(const Tensor& y, const NodeVisitor& visit) {
  if (!y.defined() || !y.impl()->past().node) return;
  std::unordered_set<const Node*> seen{y.impl()->past().node.get()};
  std::vector<const Node*> todo{y.impl()->past().node.get()};
  while (!todo.empty()) {
    const Node* node = todo.back();
    todo.pop_back();
    visit(*node);
    for (const Node* input : node->input_nodes())
      if (input && seen.insert(input).second) todo.push_back(input);
  }
}

}  // namespace loragrad
