#pragma once
// Threads: one at a time for each device (engine/device.h).
#include <functional>

#include "engine/node.h"

namespace loragrad {

/// What an observer of backward is told, once per node, just before the node's backward runs.
using NodeVisitor = std::function<void(const Node&)>;

/// Reverse-mode differentiation: adds d<y, dy>/d(leaf) to the gradient of every trainable leaf that y was computed
/// from. Without `dy`, y must be a scalar and dy is 1. Iterative (a graph may be 100,000 nodes deep); each node frees
/// what it saved as soon as its backward has run, so a graph can be used once. UsageError for a y without a past, a
/// wrong dy, a second use.
void backward(const Tensor& y, const Tensor& dy = Tensor(), const NodeVisitor& visit = nullptr);

/// Calls `visit` for every node that y was computed through, each once.
void for_each_node(const Tensor& y, const NodeVisitor& visit);

}  // namespace loragrad
