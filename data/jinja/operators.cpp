#include "data/jinja/operators.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace loragrad::jinja {
namespace {

constexpr const char* names[] = {"+", "-", "*", "/", "//", "%", "**", "~"};

[[noreturn]] void refuse(Operator op, const Value& a, const Value& b) {
  throw Fault(fmt::format("expected operands that go together, found {} {} {}", kind_of(a), names[static_cast<int>(op)],
                          kind_of(b)));
}

bool has_product(std::int64_t a, std::int64_t b, std::int64_t& product) {
  return !__builtin_mul_overflow(a, b, &product);
}

/// a^b for b >= 0; false where it does not fit.
bool has_power(std::int64_t a, std::int64_t b, std::int64_t& power) {
  power = 1;
  if (a == 0 || a == 1) return power = b == 0 ? 1 : a, true;
  if (a == -1) return power = b % 2 == 0 ? 1 : -1, true;
  for (; b > 0; --b)
    if (!has_product(power, a, power)) return false;
  return true;
}

/// Towards minus infinity, as Python's.
std::int64_t floor_quotient(std::int64_t a, std::int64_t b) { return a / b - (a % b != 0 && (a < 0) != (b < 0)); }

Value integers(Operator op, std::int64_t a, std::int64_t b) {
  std::int64_t result = 0;
  bool fits = true;
  switch (op) {
    case Operator::add:
      fits = !__builtin_add_overflow(a, b, &result);
      break;
    case Operator::subtract:
      fits = !__builtin_sub_overflow(a, b, &result);
      break;
    case Operator::multiply:
      fits = has_product(a, b, result);
      break;
    case Operator::power:
      fits = has_power(a, b, result);
      break;
    default:
      // Only the least integer has no quotient by -1.
      fits = b != -1 || a != std::numeric_limits<std::int64_t>::min();
      if (fits && op == Operator::floor_divide) result = floor_quotient(a, b);
      if (fits && op == Operator::modulo) result = a - floor_quotient(a, b) * b;
  }
  if (!fits)
    throw Fault(fmt::format("expected an integer of 64 bits, found {} {} {}", a, names[static_cast<int>(op)], b));
  return result;
}

Value numbers(Operator op, double a, double b) {
  switch (op) {
    case Operator::add:
      return a + b;
    case Operator::subtract:
      return a - b;
    case Operator::multiply:
      return a * b;
    case Operator::divide:
      return a / b;
    case Operator::floor_divide:
      return std::floor(a / b);
    case Operator::modulo: {
      double rest = std::fmod(a, b);
      return rest != 0 && (rest < 0) != (b < 0) ? rest + b : rest;
    }
    default:
      return std::pow(a, b);
  }
}

Value arithmetic(Operator op, const Value& a, const Value& b) {
  bool divides = op == Operator::divide || op == Operator::floor_divide || op == Operator::modulo;
  if (divides && number_of(b) == 0) throw Fault("expected a divisor other than 0, found 0");
  bool whole =
      a.is_integer() && b.is_integer() && op != Operator::divide && !(op == Operator::power && integer_of(b) < 0);
  return whole ? integers(op, integer_of(a), integer_of(b)) : numbers(op, number_of(a), number_of(b));
}

Value added(const Text& a, const Text& b, Run& run) {
  auto part = [&](const Text& text) {
    return (a.markup || b.markup) && !text.markup ? html_escaped(*text.bytes) : *text.bytes;
  };
  run.take(a.bytes->size() + b.bytes->size());
  return {part(a) + part(b), a.markup || b.markup};
}

Value repeated(const Value& what, std::int64_t times, Run& run) {
  times = std::max<std::int64_t>(times, 0);
  auto count = static_cast<std::size_t>(times);
  auto limit = [&](std::size_t size) {
    if (size > 0 && count > (std::size_t(1) << 40) / size) run.take(std::size_t(1) << 40);
  };
  if (const Text* text = what.text()) {
    limit(text->bytes->size());
    run.take(text->bytes->size() * count);
    std::string out;
    for (std::size_t i = 0; i < count && !text->bytes->empty(); ++i) out += *text->bytes;
    return Value::like(*text, std::move(out));
  }
  const Sequence* sequence = what.sequence();
  limit(sequence->items.size());
  run.step(sequence->items.size() * count);
  List items;
  for (std::size_t i = 0; i < count && !sequence->items.empty(); ++i)
    items.insert(items.end(), sequence->items.begin(), sequence->items.end());
  return {std::move(items), sequence->kind};
}

bool is_row(const Value& value) { return value.sequence() && value.sequence()->kind <= Sequence::Kind::tuple; }

}  // namespace

Value combine(Operator op, const Value& a, const Value& b, Run& run) {
  if (op == Operator::join) return run.made(text_of(a) + text_of(b));
  if (a.is_undefined() || b.is_undefined()) refuse(op, a, b);
  if (op == Operator::modulo && a.text()) return run.made(percent_format(*a.string(), b), a.text()->markup);
  if (a.is_number() && b.is_number()) return arithmetic(op, a, b);
  if (op == Operator::add && a.text() && b.text()) return added(*a.text(), *b.text(), run);
  if (op == Operator::add && is_row(a) && is_row(b) && a.sequence()->kind == b.sequence()->kind) {
    List items = a.sequence()->items;
    items.insert(items.end(), b.sequence()->items.begin(), b.sequence()->items.end());
    run.step(items.size());
    return {std::move(items), a.sequence()->kind};
  }
  if (op == Operator::multiply && (a.text() || is_row(a)) && b.is_integer()) return repeated(a, integer_of(b), run);
  if (op == Operator::multiply && (b.text() || is_row(b)) && a.is_integer()) return repeated(b, integer_of(a), run);
  refuse(op, a, b);
}

bool contains(const Value& container, const Value& item, Run& run) {
  if (const std::string* text = container.string()) {
    run.step(text->size() / 64);
    return text->find(string_of(item)) != std::string::npos;
  }
  if (const Dict* dict = container.dict()) {
    run.step(dict->size() / 16);
    return find(*dict, item) != nullptr;
  }
  List items = items_of(container);
  run.step(items.size() / 16);
  return std::any_of(items.begin(), items.end(), [&](const Value& each) { return equal(each, item); });
}

bool holds(Comparator comparator, const Value& a, const Value& b, Run& run) {
  switch (comparator) {
    case Comparator::equal:
      return equal(a, b);
    case Comparator::not_equal:
      return !equal(a, b);
    case Comparator::in:
      return contains(b, a, run);
    case Comparator::not_in:
      return !contains(b, a, run);
    default:
      break;
  }
  // Nothing is below or above NaN.
  for (const Value* each : {&a, &b})
    if (const auto* number = each->as<double>(); number && std::isnan(*number) && a.is_number() && b.is_number())
      return false;
  int order = compare(a, b);
  return comparator == Comparator::less         ? order < 0
         : comparator == Comparator::less_equal ? order <= 0
         : comparator == Comparator::greater    ? order > 0
                                                : order >= 0;
}

}  // namespace loragrad::jinja
