#pragma once
#include <string_view>

#include "data/jinja/lexer.h"
#include "data/jinja/nodes.h"

namespace loragrad::jinja {

/// The tokens of a template, one after the other.
class TokenStream {
 public:
  explicit TokenStream(std::vector<Token> tokens) : tokens_(std::move(tokens)) {}
  const Token& now() const { return tokens_[at_]; }
  const Token& behind() const { return tokens_[std::min(at_ + 1, tokens_.size() - 1)]; }
  Token next() { return tokens_[at_ + 1 < tokens_.size() ? at_++ : at_]; }
  bool is(Token::Kind kind, std::string_view text) const { return now().kind == kind && now().text == text; }
  bool is_name(std::string_view name) const { return is(Token::Kind::name, name); }
  bool is_sign(std::string_view sign) const { return is(Token::Kind::sign, sign); }
  bool take_name(std::string_view name) { return is_name(name) && (next(), true); }
  bool take_sign(std::string_view sign) { return is_sign(sign) && (next(), true); }
  Token expect(Token::Kind kind, std::string_view what);
  void expect_sign(std::string_view sign);
  void expect_name(std::string_view name);
  [[noreturn]] void fail(std::string_view expected) const;

 private:
  std::vector<Token> tokens_;
  std::size_t at_ = 0;
};

/// Expressions, from those that bind least to those that bind most.
class ExpressionParser {
 public:
  explicit ExpressionParser(TokenStream& tokens) : tokens_(tokens) {}

  /// With `conditional`, a if b else c; else that "if" is a loop's.
  ExpressionPtr expression(bool conditional = true);
  /// Several with commas between are a tuple. `stop`: a name that ends it.
  ExpressionPtr tuple(bool conditional = true, std::string_view stop = "", bool in_brackets = false);
  /// Filters behind what is captured: |a|b(c); null where none stands here.
  std::unique_ptr<Filter> captured_filter(bool without_sign);
  CallArguments call_arguments();
  /// A call of a name or member, as {% call %} needs it.
  std::unique_ptr<Call> call();
  /// Names that the macros' bodies use are told by this: varargs, kwargs, caller.
  std::vector<std::string> names_used;

 private:
  ExpressionPtr logic(bool is_and);
  ExpressionPtr negation();
  ExpressionPtr comparison();
  ExpressionPtr sums();
  ExpressionPtr joins();
  ExpressionPtr products();
  ExpressionPtr powers();
  ExpressionPtr unary(bool with_filters);
  ExpressionPtr primary();
  ExpressionPtr postfix(ExpressionPtr of);
  ExpressionPtr filters(ExpressionPtr of);
  ExpressionPtr member(ExpressionPtr of);
  ExpressionPtr subscript(ExpressionPtr of);
  ExpressionPtr test(ExpressionPtr of);
  std::unique_ptr<Filter> filter(ExpressionPtr of);
  ExpressionPtr list();
  ExpressionPtr dict();
  std::string dotted_name();
  bool ends_tuple(std::string_view stop) const;

  TokenStream& tokens_;
  int depth_ = 0;
};

/// The template of `source`. Fault with its line for what is none.
Program parse(std::string_view source);

}  // namespace loragrad::jinja
