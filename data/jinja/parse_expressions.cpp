#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "data/jinja/parser.h"

namespace loragrad::jinja {
namespace {

using Kind = Token::Kind;

constexpr int deepest = 100, highest = 300;

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

/// Counts what stands below a node, so that no chain of operators needs more stack than there is.
template <class Node>
ExpressionPtr finished(std::unique_ptr<Node> node, int line, std::initializer_list<const Expression*> below) {
  node->line = line;
  for (const Expression* each : below)
    if (each) node->height = std::max(node->height, each->height + 1);
  if (node->height > highest)
    throw Fault(fmt::format("expected at most {} operators in a chain, found more", highest), line);
  return node;
}

ExpressionPtr constant(Value value, int line) {
  auto node = std::make_unique<Constant>();
  node->constant = std::move(value);
  return finished(std::move(node), line, {});
}

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

Value number_of_token(const Token& token) {
  const char* end = token.text.data() + token.text.size();
  if (token.kind == Kind::number) {
    double number = 0;
    std::from_chars(token.text.data(), end, number);
    return number;
  }
  std::string digits = token.text;
  int base = 10;
  if (digits.size() > 2 && digits[0] == '0') {
    char letter = static_cast<char>(digits[1] | 0x20);
    base = letter == 'x' ? 16 : letter == 'o' ? 8 : letter == 'b' ? 2 : 10;
    if (base != 10) digits.erase(0, 2);
  }
  std::int64_t number = 0;
  auto [stop, error] = std::from_chars(digits.data(), digits.data() + digits.size(), number, base);
  if (error != std::errc() || stop != digits.data() + digits.size())
    throw Fault("expected an integer of 64 bits, found " + escaped(token.text), token.line);
  return number;
}

}  // namespace

ExpressionPtr ExpressionParser::expression(bool conditional) {
  Deeper deeper(depth_, tokens_.now().line);
  ExpressionPtr first = or_operands();
  while (conditional && tokens_.is_name("if")) {
    int line = tokens_.next().line;
    auto node = std::make_unique<Conditional>();
    node->then = std::move(first);
    node->condition = or_operands();
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

ExpressionPtr ExpressionParser::or_operands() {
  ExpressionPtr left = and_operands();
  while (tokens_.is_name("or")) {
    int line = tokens_.next().line;
    auto node = std::make_unique<Logical>();
    node->is_and = false;
    node->left = std::move(left);
    node->right = and_operands();
    const Expression *a = node->left.get(), *b = node->right.get();
    left = finished(std::move(node), line, {a, b});
  }
  return left;
}

ExpressionPtr ExpressionParser::and_operands() {
  ExpressionPtr left = negation();
  while (tokens_.is_name("and")) {
    int line = tokens_.next().line;
    auto node = std::make_unique<Logical>();
    node->left = std::move(left);
    node->right = negation();
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

ExpressionPtr ExpressionParser::postfix(ExpressionPtr of) {
  for (;;) {
    int line = tokens_.now().line;
    if (tokens_.is_sign(".")) {
      of = member(std::move(of));
    } else if (tokens_.is_sign("[")) {
      of = subscript(std::move(of));
    } else if (tokens_.is_sign("(")) {
      auto node = std::make_unique<Call>();
      node->function = std::move(of);
      node->arguments = call_arguments();
      const Expression* a = node->function.get();
      of = finished(std::move(node), line, {a});
    } else {
      return of;
    }
  }
}

ExpressionPtr ExpressionParser::member(ExpressionPtr of) {
  int line = tokens_.next().line;
  const Expression* a = of.get();
  if (tokens_.now().kind == Kind::integer) {
    auto node = std::make_unique<Item>();
    node->object = std::move(of);
    node->key = constant(number_of_token(tokens_.next()), line);
    return finished(std::move(node), line, {a});
  }
  auto node = std::make_unique<Member>();
  node->object = std::move(of);
  node->name = tokens_.expect(Kind::name, "a name or a number").text;
  return finished(std::move(node), line, {a});
}

ExpressionPtr ExpressionParser::subscript(ExpressionPtr of) {
  int line = tokens_.next().line;
  auto ends = [&] { return tokens_.is_sign("]") || tokens_.is_sign(":"); };
  ExpressionPtr first = ends() ? nullptr : tuple();
  const Expression *a = of.get(), *b = first.get();
  if (tokens_.take_sign("]")) {
    if (!first) tokens_.fail("a key or an index");
    auto node = std::make_unique<Item>();
    node->object = std::move(of);
    node->key = std::move(first);
    return finished(std::move(node), line, {a, b});
  }
  tokens_.expect_sign(":");
  auto node = std::make_unique<Slice>();
  node->object = std::move(of);
  node->from = std::move(first);
  if (!ends()) node->to = expression();
  if (tokens_.take_sign(":") && !ends()) node->by = expression();
  tokens_.expect_sign("]");
  const Expression *c = node->to.get(), *d = node->by.get();
  return finished(std::move(node), line, {a, b, c, d});
}

ExpressionPtr ExpressionParser::filters(ExpressionPtr of) {
  for (;;) {
    if (tokens_.take_sign("|"))
      of = filter(std::move(of));
    else if (tokens_.take_name("is"))
      of = test(std::move(of));
    else if (tokens_.is_sign("("))
      of = postfix(std::move(of));
    else
      return of;
  }
}

std::string ExpressionParser::dotted_name() {
  std::string name = tokens_.expect(Kind::name, "a name").text;
  while (tokens_.take_sign(".")) name += "." + tokens_.expect(Kind::name, "a name").text;
  return name;
}

std::unique_ptr<Filter> ExpressionParser::filter(ExpressionPtr of) {
  auto node = std::make_unique<Filter>();
  node->line = tokens_.now().line;
  node->height = of ? of->height + 1 : 1;
  if (node->height > highest) tokens_.fail(fmt::format("at most {} filters in a chain", highest));
  node->input = std::move(of);
  node->name = dotted_name();
  if (tokens_.is_sign("(")) node->arguments = call_arguments();
  return node;
}

ExpressionPtr ExpressionParser::test(ExpressionPtr of) {
  int line = tokens_.now().line;
  bool negated = tokens_.take_name("not");
  auto node = std::make_unique<Test>();
  node->name = dotted_name();
  node->input = std::move(of);
  auto begins_argument = [&] {
    Kind kind = tokens_.now().kind;
    if (kind == Kind::name)
      return !tokens_.is_name("else") && !tokens_.is_name("or") && !tokens_.is_name("and") && !tokens_.is_name("if") &&
             !tokens_.is_name("in") && !tokens_.is_name("not") && !tokens_.is_name("is");
    return kind == Kind::string || kind == Kind::integer || kind == Kind::number || tokens_.is_sign("[") ||
           tokens_.is_sign("{");
  };
  if (tokens_.is_sign("("))
    node->arguments = call_arguments();
  else if (begins_argument())
    node->arguments.positional.push_back(postfix(primary()));
  const Expression* a = node->input.get();
  ExpressionPtr made = finished(std::move(node), line, {a});
  if (!negated) return made;
  auto no = std::make_unique<Unary>();
  no->operand = std::move(made);
  const Expression* b = no->operand.get();
  return finished(std::move(no), line, {b});
}

CallArguments ExpressionParser::call_arguments() {
  CallArguments arguments;
  tokens_.expect_sign("(");
  while (!tokens_.is_sign(")")) {
    if (tokens_.take_sign("**")) {
      arguments.more_named = expression();
    } else if (tokens_.take_sign("*")) {
      arguments.more = expression();
    } else if (tokens_.now().kind == Kind::name && tokens_.behind().kind == Kind::sign &&
               tokens_.behind().text == "=") {
      std::string name = tokens_.next().text;
      tokens_.next();
      arguments.named.emplace_back(name, expression());
    } else {
      if (!arguments.named.empty() || arguments.more || arguments.more_named)
        tokens_.fail("NAME=VALUE behind named arguments");
      arguments.positional.push_back(expression());
    }
    if (!tokens_.take_sign(",")) break;
  }
  tokens_.expect_sign(")");
  return arguments;
}

std::unique_ptr<Filter> ExpressionParser::captured_filter(bool without_sign) {
  std::unique_ptr<Filter> last;
  if (!without_sign && !tokens_.take_sign("|")) return last;
  do last = filter(std::move(last));
  while (tokens_.take_sign("|"));
  return last;
}

std::unique_ptr<Call> ExpressionParser::call() {
  int line = tokens_.now().line;
  ExpressionPtr node = expression();
  auto* call = dynamic_cast<Call*>(node.get());
  if (!call) throw Fault("expected a call behind {% call %}, found something else", line);
  node.release();
  return std::unique_ptr<Call>(call);
}

}  // namespace loragrad::jinja
