#include "data/jinja/filters.h"

#include "data/jinja/tests.h"
#include "io/nearest.h"

namespace loragrad::jinja {
namespace {

template <class Map>
std::vector<std::string> names_of(std::initializer_list<const Map*> maps) {
  std::vector<std::string> names;
  for (const Map* map : maps)
    for (const auto& [name, function] : *map) names.emplace_back(name);
  return names;
}

}  // namespace

FilterFunction filter_named(const std::string& name) {
  for (const FilterMap* map : {&text_filters(), &list_filters(), &choosing_filters()})
    if (auto found = map->find(name); found != map->end()) return found->second;
  throw Fault("expected a filter that is known, found " + escaped(name) +
              nearest_text(name, names_of({&text_filters(), &list_filters(), &choosing_filters()})));
}

TestFunction test_named(const std::string& name) {
  auto found = tests().find(name);
  if (found != tests().end()) return found->second;
  throw Fault("expected a test that is known, found " + escaped(name) + nearest_text(name, names_of({&tests()})));
}

}  // namespace loragrad::jinja
