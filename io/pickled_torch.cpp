#include "io/pickled_torch.h"

#include <fmt/format.h>

#include "io/json.h"

namespace loragrad {
namespace {

using Kind = PickledValue::Kind;
using Ids = std::vector<PickledId>;

struct Global {
  std::string_view module, name;
  std::string_view dtype = {};  // of a storage
};
constexpr Global globals[] = {
    {"collections", "OrderedDict"},    {"torch._utils", "_rebuild_tensor_v2"}, {"torch._utils", "_rebuild_parameter"},
    {"torch", "FloatStorage", "F32"},  {"torch", "HalfStorage", "F16"},        {"torch", "BFloat16Storage", "BF16"},
    {"torch", "DoubleStorage", "F64"}, {"torch", "LongStorage", "I64"},        {"torch", "IntStorage", "I32"},
    {"torch", "ShortStorage", "I16"},  {"torch", "CharStorage", "I8"},         {"torch", "ByteStorage", "U8"},
    {"torch", "BoolStorage", "BOOL"}};
constexpr std::int64_t ordered_dict = 0, rebuild_tensor = 1, rebuild_parameter = 2;

const Global& global_of(const PickledValue& value) { return globals[static_cast<std::size_t>(value.number)]; }

std::string text_of(const Global& global) { return fmt::format("{}.{}", global.module, global.name); }

void expect_no_hooks(const PickledValues& values, PickledId id) {
  if (!values.expect(id, Kind::ordered_dict, "a tensor's hooks").items.empty())
    values.fail("expected a tensor without hooks", "some");
}

/// (storage, offset, shape, strides, requires_grad, hooks); newer versions may add metadata, which is not for plain
/// values.
PickledId tensor_of(PickledValues& values, const Ids& arguments) {
  if (arguments.size() != 6 && !(arguments.size() == 7 && values[arguments[6]].kind == Kind::none))
    values.fail("expected 6 arguments of _rebuild_tensor_v2", std::to_string(arguments.size()));
  values.expect(arguments[0], Kind::storage, "a tensor's storage");
  values.count(arguments[1], "a tensor's offset");
  const Ids& shape = values.expect(arguments[2], Kind::tuple, "a tensor's shape").items;
  const Ids& strides = values.expect(arguments[3], Kind::tuple, "a tensor's strides").items;
  for (PickledId dim : shape) values.count(dim, "a dimension");
  for (PickledId stride : strides) values.count(stride, "a stride");
  if (shape.size() != strides.size())
    values.fail(fmt::format("expected {} strides", shape.size()), std::to_string(strides.size()));
  values.expect(arguments[4], Kind::boolean, "a tensor's requires_grad");
  expect_no_hooks(values, arguments[5]);
  return values.add({.kind = Kind::tensor, .items = {arguments.begin(), arguments.begin() + 4}});
}

/// (tensor, requires_grad, hooks)
PickledId parameter_of(const PickledValues& values, const Ids& arguments) {
  if (arguments.size() != 3)
    values.fail("expected 3 arguments of _rebuild_parameter", std::to_string(arguments.size()));
  values.expect(arguments[0], Kind::tensor, "a parameter");
  values.expect(arguments[1], Kind::boolean, "a parameter's requires_grad");
  expect_no_hooks(values, arguments[2]);
  return arguments[0];
}

std::vector<std::int64_t> numbers(const PickledValues& values, PickledId tuple) {
  std::vector<std::int64_t> found;
  for (PickledId id : values[tuple].items) found.push_back(values[id].number);
  return found;
}

}  // namespace

PickledId pickled_global(PickledValues& values, std::string_view module, std::string_view name) {
  for (std::size_t i = 0; i < std::size(globals); ++i)
    if (module == globals[i].module && name == globals[i].name)
      return values.add({.kind = Kind::global, .number = static_cast<std::int64_t>(i)});
  values.fail("expected a global that tensors need (OrderedDict, _rebuild_tensor_v2, _rebuild_parameter, a storage)",
              fmt::format("GLOBAL {}.{}", escaped(module), escaped(name)));
}

PickledId pickled_call(PickledValues& values, PickledId callable, const Ids& arguments) {
  const PickledValue& global = values.expect(callable, Kind::global, "what is called");
  switch (global.number) {
    case ordered_dict:
      if (!arguments.empty()) values.fail("expected no arguments of OrderedDict", std::to_string(arguments.size()));
      return values.add({.kind = Kind::ordered_dict});
    case rebuild_tensor:
      return tensor_of(values, arguments);
    case rebuild_parameter:
      return parameter_of(values, arguments);
    default:
      values.fail("expected a call of what makes tensors", text_of(global_of(global)));
  }
}

PickledId pickled_storage(PickledValues& values, PickledId persistent_id) {
  const Ids& parts = values.expect(persistent_id, Kind::tuple, "a persistent id").items;
  if (parts.size() != 5) values.fail("expected a persistent id of 5 parts", std::to_string(parts.size()));
  std::string_view kind = values.expect(parts[0], Kind::text, "a persistent id's kind").text;
  if (kind != "storage") values.fail("expected a persistent id of a storage", escaped(kind));
  const Global& type = global_of(values.expect(parts[1], Kind::global, "a storage's type"));
  if (type.dtype.empty()) values.fail("expected a storage's type", text_of(type));
  values.expect(parts[2], Kind::text, "a storage's key");
  values.expect(parts[3], Kind::text, "a storage's device");
  values.count(parts[4], "a storage's number of elements");
  return values.add({.kind = Kind::storage, .items = {parts[1], parts[2], parts[4]}});
}

PickledTensor pickled_tensor(const PickledValues& values, std::string_view name, PickledId tensor) {
  const Ids& parts = values[tensor].items;
  const Ids& storage = values[parts[0]].items;
  return {.name = std::string(name),
          .storage = std::string(values[storage[1]].text),
          .dtype_name = std::string(global_of(values[storage[0]]).dtype),
          .storage_elements = values[storage[2]].number,
          .offset = values[parts[1]].number,
          .shape = numbers(values, parts[2]),
          .strides = numbers(values, parts[3])};
}

}  // namespace loragrad
