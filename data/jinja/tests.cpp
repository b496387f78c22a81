#include "data/jinja/tests.h"

#include "data/jinja/filters.h"
#include "data/jinja/letters.h"

namespace loragrad::jinja {
namespace {

Value other(const Arguments& arguments) { return Bound("the test", arguments, {"other"}).at(0); }
void take_none(const Arguments& arguments) { Bound("the test", arguments, {}); }

template <bool (*is_so)(const Value&)>
bool plain(Run&, const Value& value, const Arguments& arguments) {
  take_none(arguments);
  return is_so(value);
}
template <Comparator comparator>
bool compared(Run& run, const Value& value, const Arguments& arguments) {
  return holds(comparator, value, other(arguments), run);
}

bool is_defined(const Value& value) { return !value.is_undefined(); }
bool is_not_defined(const Value& value) { return value.is_undefined(); }
bool is_none(const Value& value) { return value.is_none(); }
bool is_boolean(const Value& value) { return value.as<bool>(); }
bool is_true(const Value& value) { return value.as<bool>() && truth(value); }
bool is_false(const Value& value) { return value.as<bool>() && !truth(value); }
bool is_integer(const Value& value) { return value.as<std::int64_t>(); }
bool is_float(const Value& value) { return value.as<double>(); }
bool is_number(const Value& value) { return value.is_number(); }
bool is_string(const Value& value) { return value.string(); }
bool is_mapping(const Value& value) { return value.dict(); }
bool is_callable(const Value& value) { return value.object() && value.object()->is_callable(); }
bool is_sequence(const Value& value) {
  const Sequence* sequence = value.sequence();
  return value.is_undefined() || value.string() || value.dict() ||
         (sequence && sequence->kind <= Sequence::Kind::range);
}
bool is_iterable(const Value& value) {
  return value.is_undefined() || value.string() || value.dict() || value.sequence() || value.generator();
}
bool is_markup(const Value& value) { return value.text() && value.text()->markup; }
template <bool (*is_cased)(std::string_view)>
bool prints(const Value& value) {
  return is_cased(text_of(value));
}
bool is_odd(const Value& value) { return integer_of(value) % 2 != 0; }
bool is_even(const Value& value) { return integer_of(value) % 2 == 0; }

bool divides(Run& run, const Value& value, const Arguments& arguments) {
  Bound given("divisibleby", arguments, {"num"});
  return integer_of(combine(Operator::modulo, integer_of(value), integer_of(given.at(0)), run)) == 0;
}
/// One and the same: without identities, equal and of one type.
bool is_same(Run&, const Value& value, const Arguments& arguments) {
  Value with = other(arguments);
  return value.get().index() == with.get().index() && equal(value, with);
}
template <class Map>
bool is_name(const Map& map, const Value& value) {
  return value.string() && map.contains(*value.string());
}
bool is_filter(const Value& value) {
  return is_name(text_filters(), value) || is_name(list_filters(), value) || is_name(choosing_filters(), value);
}
bool is_test(const Value& value) { return is_name(tests(), value); }

}  // namespace

const TestMap& tests() {
  static const TestMap all = {
      {"!=", compared<Comparator::not_equal>},
      {"<", compared<Comparator::less>},
      {"<=", compared<Comparator::less_equal>},
      {"==", compared<Comparator::equal>},
      {">", compared<Comparator::greater>},
      {">=", compared<Comparator::greater_equal>},
      {"boolean", plain<is_boolean>},
      {"callable", plain<is_callable>},
      {"defined", plain<is_defined>},
      {"divisibleby", divides},
      {"eq", compared<Comparator::equal>},
      {"equalto", compared<Comparator::equal>},
      {"escaped", plain<is_markup>},
      {"even", plain<is_even>},
      {"false", plain<is_false>},
      {"filter", plain<is_filter>},
      {"float", plain<is_float>},
      {"ge", compared<Comparator::greater_equal>},
      {"greaterthan", compared<Comparator::greater>},
      {"gt", compared<Comparator::greater>},
      {"in", compared<Comparator::in>},
      {"integer", plain<is_integer>},
      {"iterable", plain<is_iterable>},
      {"le", compared<Comparator::less_equal>},
      {"lessthan", compared<Comparator::less>},
      {"lower", plain<prints<is_lower>>},
      {"lt", compared<Comparator::less>},
      {"mapping", plain<is_mapping>},
      {"ne", compared<Comparator::not_equal>},
      {"none", plain<is_none>},
      {"number", plain<is_number>},
      {"odd", plain<is_odd>},
      {"sameas", is_same},
      {"sequence", plain<is_sequence>},
      {"string", plain<is_string>},
      {"test", plain<is_test>},
      {"true", plain<is_true>},
      {"undefined", plain<is_not_defined>},
      {"upper", plain<prints<is_upper>>},
  };
  return all;
}

}  // namespace loragrad::jinja
