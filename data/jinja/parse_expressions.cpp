#include <fmt/format.h>

#include <algorithm>

#include "data/jinja/made_nodes.h"
#include "data/jinja/parser.h"

namespace loragrad::jinja {
namespace {

using Kind = Token::Kind;

constexpr int deepest = 100;

struct Deeper {
  Deeper(int& depth, int line) : depth(depth) {
    if (++depth > deepest) {
      --depth;
      throw Fault(fmt::format("expected at most {} expressions within each other, found more", deepest), line);
    }
  }
  ~Deeper() { --depth; }
  int& depth;
};

template <class Left>
ExpressionPtr chain(TokenStream& tokens, Left operand,
                    std::initializer_list<std::pair<const char*, Operator>> operators) {
  ExpressionPtr left = operand();
  for (bool found = true; found;) {
    found = false;
    for (const auto& [sign, op] : operators) {
      int line = tokens.now().line;
      if (!tokens.take_sign(sign)) continue;
      auto node = std::make_unique<Binary>();
      node->op = op;
      node->left = std::move(left);
      node->right = operand();
      const Expression *a = node->left.get(), *b = node->right.get();
      left = finished(std::move(node), line, {a, b});
      found = true;
    }
  }
  return left;
}

}  // namespace

ExpressionPtr ExpressionParser::expression(bool conditional) {
  Deeper deeper(depth_, tokens_.now().line);
  ExpressionPtr first = logic(false);
  while (conditional && tokens_.is_name("if")) {
    int line = tokens_.next().line;
    auto node = std::make_unique<Conditional>();
    node->then = std::move(first);
    node->condition = logic(false);
    if (tokens_.take_name("else")) node->otherwise = expression();
    const Expression *a = node->then.get(), *b = node->condition.get(), *c = node->otherwise.get();
    first = finished(std::move(node), line, {a, b, c});
  }
  return first;
}

bool ExpressionParser::ends_tuple(std::string_view stop) const {
  Kind kind = tokens_.now().kind;
  return kind == Kind::variable_end || kind == Kind::block_end || tokens_.is_sign(")") ||
         (!stop.empty() && tokens_.is_name(stop));
}

ExpressionPtr ExpressionParser::tuple(bool conditional, std::string_view stop, bool in_brackets) {
  int line = tokens_.now().line;
  auto node = std::make_unique<Items>();
  node->kind = Sequence::Kind::tuple;
  bool several = false;
  while (!ends_tuple(stop)) {
    node->items.push_back(expression(conditional));
    if (!tokens_.take_sign(",")) break;
    several = true;
  }
  if (!several && node->items.size() == 1) return std::move(node->items[0]);
  if (!several && !in_brackets) tokens_.fail("an expression");
  for (const ExpressionPtr& item : node->items) node->height = std::max(node->height, item->height + 1);
  return finished(std::move(node), line, {});
}

ExpressionPtr ExpressionParser::logic(bool is_and) {
  auto operand = [&] { return is_and ? negation() : logic(true); };
  ExpressionPtr left = operand();
  while (tokens_.is_name(is_and ? "and" : "or")) {
    int line = tokens_.next().line;
    auto node = std::make_unique<Logical>();
    node->is_and = is_and;
    node->left = std::move(left);
    node->right = operand();
    const Expression *a = node->left.get(), *b = node->right.get();
    left = finished(std::move(node), line, {a, b});
  }
  return left;
}

ExpressionPtr ExpressionParser::negation() {
  if (!tokens_.is_name("not")) return comparison();
  int line = tokens_.next().line;
  Deeper deeper(depth_, line);
  auto node = std::make_unique<Unary>();
  node->operand = negation();
  const Expression* a = node->operand.get();
  return finished(std::move(node), line, {a});
}

ExpressionPtr ExpressionParser::comparison() {
  constexpr std::pair<const char*, Comparator> signs[] = {
      {"==", Comparator::equal}, {"!=", Comparator::not_equal},     {"<=", Comparator::less_equal},
      {"<", Comparator::less},   {">=", Comparator::greater_equal}, {">", Comparator::greater}};
  int line = tokens_.now().line;
  ExpressionPtr first = sums();
  auto node = std::make_unique<Comparison>();
  for (bool found = true; found;) {
    found = false;
    auto add = [&](Comparator comparator) {
      node->rest.emplace_back(comparator, sums());
      node->height = std::max(node->height, node->rest.back().second->height + 1);
      found = true;
    };
    for (const auto& [sign, comparator] : signs)
      if (tokens_.take_sign(sign)) add(comparator);
    if (tokens_.take_name("in")) {
      add(Comparator::in);
    } else if (tokens_.is_name("not") && tokens_.behind().kind == Kind::name && tokens_.behind().text == "in") {
      tokens_.next();
      tokens_.next();
      add(Comparator::not_in);
    }
  }
  if (node->rest.empty()) return first;
  node->first = std::move(first);
  const Expression* a = node->first.get();
  return finished(std::move(node), line, {a});
}

ExpressionPtr ExpressionParser::sums() {
  return chain(tokens_, [&] { return joins(); }, {{"+", Operator::add}, {"-", Operator::subtract}});
}
ExpressionPtr ExpressionParser::joins() {
  return chain(tokens_, [&] { return products(); }, {{"~", Operator::join}});
}
ExpressionPtr ExpressionParser::products() {
  return chain(
      tokens_, [&] { return powers(); },
      {{"*", Operator::multiply}, {"//", Operator::floor_divide}, {"/", Operator::divide}, {"%", Operator::modulo}});
}
ExpressionPtr ExpressionParser::powers() {
  return chain(tokens_, [&] { return unary(true); }, {{"**", Operator::power}});
}

ExpressionPtr ExpressionParser::unary(bool with_filters) {
  ExpressionPtr node;
  if (tokens_.is_sign("-") || tokens_.is_sign("+")) {
    Token sign = tokens_.next();
    Deeper deeper(depth_, sign.line);
    auto minus = std::make_unique<Unary>();
    minus->kind = sign.text == "-" ? Unary::Kind::minus : Unary::Kind::plus;
    minus->operand = unary(false);
    const Expression* a = minus->operand.get();
    node = finished(std::move(minus), sign.line, {a});
  } else {
    node = primary();
  }
  node = postfix(std::move(node));
  return with_filters ? filters(std::move(node)) : std::move(node);
}

ExpressionPtr ExpressionParser::primary() {
  const Token token = tokens_.now();
  if (token.kind == Kind::name) {
    tokens_.next();
    if (token.text == "true" || token.text == "True") return constant(true, token.line);
    if (token.text == "false" || token.text == "False") return constant(false, token.line);
    if (token.text == "none" || token.text == "None") return constant(nullptr, token.line);
    auto node = std::make_unique<Name>();
    node->name = token.text;
    names_used.push_back(token.text);
    return finished(std::move(node), token.line, {});
  }
  if (token.kind == Kind::string) {
    std::string text;
    while (tokens_.now().kind == Kind::string) text += tokens_.next().text;
    return constant(std::move(text), token.line);
  }
  if (token.kind == Kind::integer || token.kind == Kind::number)
    return constant(number_of_token(tokens_.next()), token.line);
  if (tokens_.take_sign("(")) {
    Deeper deeper(depth_, token.line);
    ExpressionPtr node = tuple(true, "", true);
    tokens_.expect_sign(")");
    return node;
  }
  if (tokens_.is_sign("[")) return list();
  if (tokens_.is_sign("{")) return dict();
  tokens_.fail("an expression");
}

ExpressionPtr ExpressionParser::list() {
  int line = tokens_.next().line;
  auto node = std::make_unique<Items>();
  while (!tokens_.is_sign("]")) {
    node->items.push_back(expression());
    node->height = std::max(node->height, node->items.back()->height + 1);
    if (!tokens_.take_sign(",")) break;
  }
  tokens_.expect_sign("]");
  return finished(std::move(node), line, {});
}

ExpressionPtr ExpressionParser::dict() {
  int line = tokens_.next().line;
  auto node = std::make_unique<Pairs>();
  while (!tokens_.is_sign("}")) {
    ExpressionPtr key = expression();
    tokens_.expect_sign(":");
    ExpressionPtr value = expression();
    node->height = std::max({node->height, key->height + 1, value->height + 1});
    node->pairs.emplace_back(std::move(key), std::move(value));
    if (!tokens_.take_sign(",")) break;
  }
  tokens_.expect_sign("}");
  return finished(std::move(node), line, {});
}

}  // namespace loragrad::jinja
