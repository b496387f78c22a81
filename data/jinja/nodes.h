#pragma once
// A template as the parser gives it. Every node says what it computes or does in expressions.cpp and statements.cpp.
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "data/jinja/operators.h"
#include "data/jinja/run.h"

namespace loragrad::jinja {

using ScopePtr = std::shared_ptr<Scope>;

struct Expression {
  int line = 1;
  int height = 1;  ///< of expressions below it, with itself
  virtual ~Expression() = default;
  /// Counted, and with its line in a Fault.
  Value value(Run& run, const ScopePtr& scope) const;

 protected:
  virtual Value evaluate(Run& run, const ScopePtr& scope) const = 0;
};
using ExpressionPtr = std::unique_ptr<Expression>;

/// How the body that a statement stands in goes on.
enum class Flow { on, next_round, leave };

struct Statement {
  int line = 1;
  virtual ~Statement() = default;
  Flow run(Run& run, const ScopePtr& scope) const;

 protected:
  virtual Flow execute(Run& run, const ScopePtr& scope) const = 0;
};
using StatementPtr = std::unique_ptr<Statement>;
using Body = std::vector<StatementPtr>;
Flow run_body(const Body& body, Run& run, const ScopePtr& scope);

/// What {% set %} and {% for %} give values to: a name, a namespace's member, or several.
struct Target {
  std::string name, member;
  std::vector<Target> parts = {};
  void assign(Run& run, const ScopePtr& scope, const Value& value) const;
};

struct CallArguments {
  std::vector<ExpressionPtr> positional = {};
  std::vector<std::pair<std::string, ExpressionPtr>> named = {};
  ExpressionPtr more = {}, more_named = {};  ///< *list and **dict
  Arguments values(Run& run, const ScopePtr& scope) const;
};

// Expressions.

struct Constant : Expression {
  Value constant;
  Value evaluate(Run&, const ScopePtr&) const override { return constant; }
};
struct Name : Expression {
  std::string name;
  Value evaluate(Run&, const ScopePtr& scope) const override;
};
struct Items : Expression {  ///< a list or a tuple
  Sequence::Kind kind = Sequence::Kind::list;
  std::vector<ExpressionPtr> items;
  Value evaluate(Run&, const ScopePtr&) const override;
};
struct Pairs : Expression {  ///< a dict
  std::vector<std::pair<ExpressionPtr, ExpressionPtr>> pairs;
  Value evaluate(Run&, const ScopePtr&) const override;
};
struct Unary : Expression {
  enum class Kind { no, minus, plus } kind = Kind::no;
  ExpressionPtr operand;
  Value evaluate(Run&, const ScopePtr&) const override;
};
struct Binary : Expression {
  Operator op = Operator::add;
  ExpressionPtr left, right;
  Value evaluate(Run&, const ScopePtr&) const override;
};
struct Logical : Expression {  ///< and, or: give one of their operands
  bool is_and = true;
  ExpressionPtr left, right;
  Value evaluate(Run&, const ScopePtr&) const override;
};
struct Comparison : Expression {  ///< a < b <= c: each once
  ExpressionPtr first;
  std::vector<std::pair<Comparator, ExpressionPtr>> rest;
  Value evaluate(Run&, const ScopePtr&) const override;
};
struct Conditional : Expression {
  ExpressionPtr condition, then, otherwise;  ///< the last may be null: undefined
  Value evaluate(Run&, const ScopePtr&) const override;
};
struct Member : Expression {  ///< a.name
  ExpressionPtr object;
  std::string name;
  Value evaluate(Run&, const ScopePtr&) const override;
};
struct Item : Expression {  ///< a[key]
  ExpressionPtr object, key;
  Value evaluate(Run&, const ScopePtr&) const override;
};
struct Slice : Expression {  ///< a[from:to:by], each of which may be null
  ExpressionPtr object, from, to, by;
  Value evaluate(Run&, const ScopePtr&) const override;
};
struct Call : Expression {
  ExpressionPtr function;
  CallArguments arguments;
  Value evaluate(Run&, const ScopePtr&) const override;
};
struct Filter : Expression {
  ExpressionPtr input;  ///< null: what a filter block or {% set %} has captured
  std::string name;
  CallArguments arguments;
  Value evaluate(Run&, const ScopePtr&) const override;
  Value apply(Run&, const ScopePtr&, const Value& captured) const;
};
struct Test : Expression {
  ExpressionPtr input;
  std::string name;
  CallArguments arguments;
  Value evaluate(Run&, const ScopePtr&) const override;
};

// Statements.

struct Output : Statement {
  ExpressionPtr value;
  Flow execute(Run&, const ScopePtr&) const override;
};
struct Data : Statement {
  std::string text;
  Flow execute(Run&, const ScopePtr&) const override;
};
struct If : Statement {
  std::vector<std::pair<ExpressionPtr, Body>> branches;
  Body otherwise;
  Flow execute(Run&, const ScopePtr&) const override;
};
struct For : Statement {
  Target target;
  ExpressionPtr over, condition;  ///< the condition may be null
  bool recursive = false;
  Body body, otherwise;
  Flow execute(Run&, const ScopePtr&) const override;
  void loop(Run&, const ScopePtr&, const Value& over, int depth) const;
};
struct Jump : Statement {
  Flow flow = Flow::leave;
  Flow execute(Run&, const ScopePtr&) const override { return flow; }
};
struct Set : Statement {
  Target target;
  ExpressionPtr value;
  Flow execute(Run&, const ScopePtr&) const override;
};
struct SetBlock : Statement {
  Target target;
  std::unique_ptr<Filter> filter;  ///< null: none
  Body body;
  Flow execute(Run&, const ScopePtr&) const override;
};
struct FilterBlock : Statement {
  std::unique_ptr<Filter> filter;
  Body body;
  Flow execute(Run&, const ScopePtr&) const override;
};
struct With : Statement {
  std::vector<std::pair<Target, ExpressionPtr>> values;
  Body body;
  Flow execute(Run&, const ScopePtr&) const override;
};
struct Generation : Statement {
  Body body;
  Flow execute(Run&, const ScopePtr&) const override;
};
struct Parameters {
  std::vector<std::string> names;
  std::vector<ExpressionPtr> defaults;  ///< of the last names
};
struct MacroDefinition : Statement {
  std::string name;
  Parameters parameters;
  Body body;
  bool uses_varargs = false, uses_kwargs = false, uses_caller = false;
  Flow execute(Run&, const ScopePtr&) const override;
};
struct CallBlock : Statement {
  std::unique_ptr<Call> call;
  MacroDefinition caller;
  Flow execute(Run&, const ScopePtr&) const override;
};

/// A whole template.
class Program {
 public:
  Body body;
  bool marks_generation = false;
};

}  // namespace loragrad::jinja
