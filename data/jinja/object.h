#pragma once
#include <functional>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "data/jinja/value.h"

namespace loragrad::jinja {

class Run;

/// What a call is given.
struct Arguments {
  List positional = {};
  std::vector<std::pair<std::string, Value>> named = {};
};

/// A call's arguments by the names that a function has for them.
class Bound {
 public:
  /// Fault for too many, for a name that is not among `names`, and for one given twice.
  Bound(std::string_view function, const Arguments& arguments, std::initializer_list<std::string_view> names);
  /// Null where it was not given.
  const Value* find(std::size_t index) const { return values_[index] ? &*values_[index] : nullptr; }
  /// Fault where it was not given.
  const Value& at(std::size_t index) const;
  Value value_or(std::size_t index, Value fallback) const { return values_[index] ? *values_[index] : fallback; }
  bool flag(std::size_t index, bool fallback) const { return values_[index] ? truth(*values_[index]) : fallback; }
  std::int64_t integer(std::size_t index, std::int64_t fallback) const;
  std::string string(std::size_t index, std::string fallback) const;

 private:
  std::string function_;
  std::vector<std::string> names_;
  std::vector<std::optional<Value>> values_;
};

/// A value with members or a call of its own.
class Object {
 public:
  virtual ~Object() = default;
  /// Undefined where there is none.
  virtual std::optional<Value> member(std::string_view) const { return std::nullopt; }
  virtual bool is_callable() const { return false; }
  virtual Value call(Run&, const Arguments&) { throw Fault("expected something to call, found " + kind()); }
  virtual std::string kind() const = 0;
};

/// A function of ours: a global one, or a method with what it belongs to.
class Function : public Object {
 public:
  using Body = std::function<Value(Run&, const Arguments&)>;
  Function(std::string name, Body body) : name_(std::move(name)), body_(std::move(body)) {}
  bool is_callable() const override { return true; }
  Value call(Run& run, const Arguments& arguments) override { return body_(run, arguments); }
  std::string kind() const override { return "the function " + name_; }

 private:
  std::string name_;
  Body body_;
};

/// namespace(): the one thing whose members {% set %} changes.
class Namespace : public Object {
 public:
  std::optional<Value> member(std::string_view name) const override;
  void set(const std::string& name, Value value);
  void clear() { members_.clear(); }
  std::string kind() const override { return "a namespace"; }

 private:
  Dict members_;
};

}  // namespace loragrad::jinja
