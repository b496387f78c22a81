#include "io/pickled_values.h"

#include <fmt/format.h>

#include "engine/error.h"

namespace loragrad {

std::string_view kind_text(PickledValue::Kind kind) {
  constexpr std::string_view texts[] = {"None",           "a truth value", "an integer", "a fraction",
                                        "a text",         "a tuple",       "a list",     "a dict",
                                        "an OrderedDict", "a global",      "a storage",  "a tensor"};
  return texts[static_cast<std::size_t>(kind)];
}

void PickledValues::append(PickledId id, const std::vector<PickledId>& items) {
  values_[id].items.insert(values_[id].items.end(), items.begin(), items.end());
}

void PickledValues::fail(const std::string& expected, const std::string& found) const {
  throw InputError(fmt::format("{}: byte {}: {}, found {}", where_, byte_ + 1, expected, found));
}

const PickledValue& PickledValues::expect(PickledId id, Kind kind, std::string_view what) const {
  const PickledValue& value = values_[id];
  if (value.kind != kind)
    fail(fmt::format("expected {} for {}", kind_text(kind), what), std::string(kind_text(value.kind)));
  return value;
}

std::int64_t PickledValues::count(PickledId id, std::string_view what) const {
  std::int64_t found = expect(id, Kind::integer, what).number;
  if (found < 0) fail(fmt::format("expected {} of at least 0", what), std::to_string(found));
  return found;
}

}  // namespace loragrad
