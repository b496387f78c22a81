#include <charconv>

#include "data/jinja/made_nodes.h"
#include "data/jinja/parser.h"

// What stands behind an operand: members, subscripts, calls, filters and tests.
namespace loragrad::jinja {
namespace {

using Kind = Token::Kind;

}  // namespace

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
