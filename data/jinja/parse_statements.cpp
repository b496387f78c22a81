#include <fmt/format.h>

#include <algorithm>

#include "data/jinja/parser.h"

namespace loragrad::jinja {
namespace {

using Kind = Token::Kind;
using Names = std::vector<std::string_view>;

constexpr int deepest = 50;

class StatementParser {
 public:
  explicit StatementParser(std::string_view source) : tokens_(tokens_of(source)) {}

  Program run() {
    Program program;
    program.body = body({});
    program.marks_generation = marks_generation_;
    return program;
  }

 private:
  /// Statements up to {% one of `ends`, which is taken.
  Body body(const Names& ends) {
    if (++depth_ > deepest) tokens_.fail(fmt::format("at most {} tags within each other", deepest));
    Body found;
    for (;;) {
      if (tokens_.now().kind == Kind::end) {
        if (!ends.empty()) tokens_.fail(std::string(ends.front()));
        break;
      }
      StatementPtr statement;
      int line = tokens_.now().line;
      if (tokens_.now().kind == Kind::data) {
        auto data = std::make_unique<Data>();
        data->text = tokens_.next().text;
        statement = std::move(data);
      } else if (tokens_.now().kind == Kind::variable_begin) {
        tokens_.next();
        auto output = std::make_unique<Output>();
        output->value = expressions_.tuple();
        tokens_.expect(Kind::variable_end, "}}");
        statement = std::move(output);
      } else {
        tokens_.expect(Kind::block_begin, "a tag");
        if (std::any_of(ends.begin(), ends.end(), [&](auto end) { return tokens_.is_name(end); })) break;
        statement = tag();
        tokens_.expect(Kind::block_end, "%}");
      }
      statement->line = line;
      found.push_back(std::move(statement));
    }
    --depth_;
    return found;
  }

  /// The rest of a tag, then what stands up to one of `ends`; the end tag's name is taken.
  Body block(const Names& ends) {
    tokens_.take_sign(":");
    tokens_.expect(Kind::block_end, "%}");
    return body(ends);
  }
  Body whole_block(std::string_view end) {
    Body found = block({end});
    tokens_.next();
    return found;
  }

  StatementPtr tag() {
    const Token name = tokens_.expect(Kind::name, "a tag's name");
    if (name.text == "if") return if_tag();
    if (name.text == "for") return for_tag();
    if (name.text == "set") return set_tag();
    if (name.text == "macro") return macro_tag();
    if (name.text == "call") return call_tag();
    if (name.text == "filter") return filter_tag();
    if (name.text == "with") return with_tag();
    if (name.text == "generation") return generation_tag();
    if (name.text == "break" || name.text == "continue") return jump(name);
    throw Fault("expected a tag that chat templates have, found " + escaped(name.text), name.line);
  }

  StatementPtr if_tag() {
    auto node = std::make_unique<If>();
    for (bool goes_on = true; goes_on;) {
      ExpressionPtr condition = expressions_.tuple(false);
      Body then = block({"elif", "else", "endif"});
      node->branches.emplace_back(std::move(condition), std::move(then));
      goes_on = tokens_.take_name("elif");
    }
    if (tokens_.take_name("else"))
      node->otherwise = whole_block("endif");
    else
      tokens_.expect_name("endif");
    return node;
  }

  StatementPtr for_tag() {
    auto node = std::make_unique<For>();
    node->target = target(false);
    tokens_.expect_name("in");
    node->over = expressions_.tuple(false, "recursive");
    if (tokens_.take_name("if")) node->condition = expressions_.expression();
    node->recursive = tokens_.take_name("recursive");
    ++loops_;
    node->body = block({"else", "endfor"});
    --loops_;
    if (tokens_.take_name("else"))
      node->otherwise = whole_block("endfor");
    else
      tokens_.expect_name("endfor");
    return node;
  }

  StatementPtr jump(const Token& name) {
    if (loops_ == 0) throw Fault("expected " + name.text + " within a loop, found it outside", name.line);
    auto node = std::make_unique<Jump>();
    node->flow = name.text == "break" ? Flow::leave : Flow::next_round;
    return node;
  }

  /// A name, a.member where `members`, or several in brackets or without.
  Target target(bool members) {
    Target found;
    bool several = false;
    do {
      Target part;
      if (tokens_.take_sign("(")) {
        part = target(members);
        tokens_.expect_sign(")");
      } else {
        if (several && tokens_.now().kind != Kind::name) break;  // a comma at the end
        for (std::string_view constant : {"true", "True", "false", "False", "none", "None"})
          if (tokens_.is_name(constant)) tokens_.fail("a name to give a value to");
        part.name = tokens_.expect(Kind::name, "a name").text;
        if (members && tokens_.take_sign(".")) part.member = tokens_.expect(Kind::name, "a name").text;
      }
      if (!several && !tokens_.is_sign(",")) return part;
      several = true;
      found.parts.push_back(std::move(part));
    } while (tokens_.take_sign(","));
    return found;
  }

  StatementPtr set_tag() {
    Target to = target(true);
    if (tokens_.take_sign("=")) {
      auto node = std::make_unique<Set>();
      node->target = std::move(to);
      node->value = expressions_.tuple();
      return node;
    }
    auto node = std::make_unique<SetBlock>();
    node->target = std::move(to);
    node->filter = expressions_.captured_filter(false);
    node->body = captured_block("endset");
    return node;
  }

  /// A block whose text is not written at once: no loop around it is left from within.
  Body captured_block(std::string_view end) {
    int loops = std::exchange(loops_, 0);
    Body found = whole_block(end);
    loops_ = loops;
    return found;
  }

  Parameters parameters() {
    Parameters found;
    tokens_.expect_sign("(");
    while (!tokens_.is_sign(")")) {
      found.names.push_back(tokens_.expect(Kind::name, "a parameter").text);
      if (tokens_.take_sign("="))
        found.defaults.push_back(expressions_.expression());
      else if (!found.defaults.empty())
        tokens_.fail("a default value, as the parameter before has one");
      if (!tokens_.take_sign(",")) break;
    }
    tokens_.expect_sign(")");
    return found;
  }

  /// Reads what a macro does, and which of the names that only macros have it uses.
  void read_macro(MacroDefinition& node, std::string_view end) {
    std::vector<std::string> before = std::exchange(expressions_.names_used, {});
    node.body = captured_block(end);
    auto uses = [&](std::string_view name) {
      const std::vector<std::string>&used = expressions_.names_used, &own = node.parameters.names;
      return std::count(used.begin(), used.end(), name) > 0 && std::count(own.begin(), own.end(), name) == 0;
    };
    node.uses_varargs = uses("varargs");
    node.uses_kwargs = uses("kwargs");
    node.uses_caller = uses("caller");
    expressions_.names_used.insert(expressions_.names_used.end(), before.begin(), before.end());
  }

  StatementPtr macro_tag() {
    auto node = std::make_unique<MacroDefinition>();
    node->name = tokens_.expect(Kind::name, "a macro's name").text;
    node->parameters = parameters();
    read_macro(*node, "endmacro");
    return node;
  }

  StatementPtr call_tag() {
    auto node = std::make_unique<CallBlock>();
    node->caller.name = "caller";
    node->caller.line = tokens_.now().line;
    if (tokens_.is_sign("(")) node->caller.parameters = parameters();
    node->call = expressions_.call();
    read_macro(node->caller, "endcall");
    return node;
  }

  StatementPtr filter_tag() {
    auto node = std::make_unique<FilterBlock>();
    node->filter = expressions_.captured_filter(true);
    node->body = captured_block("endfilter");
    return node;
  }

  StatementPtr with_tag() {
    auto node = std::make_unique<With>();
    while (tokens_.now().kind != Kind::block_end) {
      if (!node->values.empty()) tokens_.expect_sign(",");
      Target to = target(false);
      tokens_.expect_sign("=");
      node->values.emplace_back(std::move(to), expressions_.expression());
    }
    node->body = whole_block("endwith");
    return node;
  }

  StatementPtr generation_tag() {
    marks_generation_ = true;
    auto node = std::make_unique<Generation>();
    node->body = whole_block("endgeneration");
    return node;
  }

  TokenStream tokens_;
  ExpressionParser expressions_{tokens_};
  int depth_ = 0, loops_ = 0;
  bool marks_generation_ = false;
};

std::string text_of(const Token& token) {
  switch (token.kind) {
    case Kind::data:
      return "text";
    case Kind::end:
      return "the end of the template";
    case Kind::block_begin:
      return "{%";
    case Kind::block_end:
      return "%}";
    case Kind::variable_begin:
      return "{{";
    case Kind::variable_end:
      return "}}";
    default:
      return token.kind == Kind::string ? '"' + escaped(token.text, 40) + '"' : escaped(token.text, 40);
  }
}

}  // namespace

void TokenStream::fail(std::string_view expected) const {
  throw Fault(fmt::format("expected {}, found {}", expected, text_of(now())), now().line);
}

Token TokenStream::expect(Kind kind, std::string_view what) {
  if (now().kind != kind) fail(what);
  return next();
}

void TokenStream::expect_sign(std::string_view sign) {
  if (!take_sign(sign)) fail(sign);
}

void TokenStream::expect_name(std::string_view name) {
  if (!take_name(name)) fail(name);
}

Program parse(std::string_view source) { return StatementParser(source).run(); }

}  // namespace loragrad::jinja
