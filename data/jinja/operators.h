#pragma once
#include "data/jinja/run.h"

namespace loragrad::jinja {

enum class Operator { add, subtract, multiply, divide, floor_divide, modulo, power, join };
enum class Comparator { equal, not_equal, less, less_equal, greater, greater_equal, in, not_in };

/// a OP b as Python has it; `join` is ~. Fault for operands that do not go together and for integers beyond 64 bits.
Value combine(Operator op, const Value& a, const Value& b, Run& run);
bool holds(Comparator comparator, const Value& a, const Value& b, Run& run);
/// item in container.
bool contains(const Value& container, const Value& item, Run& run);

/// object.name: a method or member, else the item of this name; undefined where there is none.
Value member_of(const Value& object, const std::string& name, Run& run);
/// object[key]: the item, else the method of this name; undefined where there is none.
Value item_of(const Value& object, const Value& key, Run& run);
/// object[from:to:by]; none is left out.
Value slice_of(const Value& object, const Value& from, const Value& to, const Value& by, Run& run);
/// A method of Python's str, dict, list or tuple that changes nothing; undefined where there is none.
std::optional<Value> method_of(const Value& object, std::string_view name);

/// "%s of %d" % (a, b), and "{} of {n}".format(a, n=b).
std::string percent_format(const std::string& format, const Value& values);
std::string brace_format(const std::string& format, const Arguments& arguments);

/// Characters that mean something in HTML as entities.
std::string html_escaped(std::string_view text);
/// json.dumps.
std::string json_text(const Value& value, const Arguments& arguments, Run& run);

using FilterFunction = Value (*)(Run& run, const Value& input, const Arguments& arguments);
using TestFunction = bool (*)(Run& run, const Value& input, const Arguments& arguments);
/// Fault with the nearest names for one that is not known.
FilterFunction filter_named(const std::string& name);
TestFunction test_named(const std::string& name);
/// range, dict, namespace, cycler, joiner, raise_exception, strftime_now.
void add_globals(Scope& scope);
/// Calls a macro, method or function; Fault for what is none.
Value call(const Value& function, Run& run, const Arguments& arguments);

}  // namespace loragrad::jinja
