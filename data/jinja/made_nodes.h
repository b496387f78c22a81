#pragma once
#include <fmt/format.h>

#include <algorithm>
#include <initializer_list>
#include <memory>

#include "data/jinja/lexer.h"
#include "data/jinja/nodes.h"

namespace loragrad::jinja {

constexpr int highest = 300;  ///< operators in a chain

/// The node, at its line. Counts what stands below it, so that no chain of operators needs more stack than there is.
template <class Node>
ExpressionPtr finished(std::unique_ptr<Node> node, int line, std::initializer_list<const Expression*> below) {
  node->line = line;
  for (const Expression* each : below)
    if (each) node->height = std::max(node->height, each->height + 1);
  if (node->height > highest)
    throw Fault(fmt::format("expected at most {} operators in a chain, found more", highest), line);
  return node;
}

inline ExpressionPtr constant(Value value, int line) {
  auto node = std::make_unique<Constant>();
  node->constant = std::move(value);
  return finished(std::move(node), line, {});
}

/// The value of an integer's or number's token. Fault for an integer of more than 64 bits.
Value number_of_token(const Token& token);

}  // namespace loragrad::jinja
