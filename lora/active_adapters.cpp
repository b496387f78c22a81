#include "lora/active_adapters.h"

#include <algorithm>

#include "engine/error.h"
#include "lora/variant.h"

namespace loragrad {
namespace {

/// UsageError where a row of a batch may have another such module of the map.
void check_alone(const std::vector<ActiveModule>& active, const WeightedAdapter& added, const std::string& module,
                 const std::vector<std::optional<std::string>>& names) {
  for (const ActiveModule& other : active)
    if (other.module.variant->is_alone() &&
        (!added.name || !names[other.adapter] || added.name == names[other.adapter]))
      throw UsageError("adapters: expected at most one with DoRA for " + module + ", found two at once");
}

}  // namespace

void ActiveAdapters::add(const WeightedAdapter& added) {
  auto adapters = adapters_ ? std::make_shared<Adapters>(*adapters_) : std::make_shared<Adapters>();
  auto rows = rows_ ? std::make_shared<Rows>(*rows_) : std::make_shared<Rows>();
  for (const LoraModule& module : added.adapter.modules) {
    std::vector<ActiveModule>& active = adapters->modules[module.name];
    if (module.variant->is_alone()) check_alone(active, added, module.name, adapters->names);
    active.push_back({module, added.weight, added.adapter.config.lora_dropout, adapters->names.size()});
  }
  adapters->names.push_back(added.name);
  rows->push_back(added.name.value_or("").empty() ? std::vector<IndexRange>{IndexRange{}} : std::vector<IndexRange>{});
  adapters_ = std::move(adapters);
  rows_ = std::move(rows);
}

ActiveAdapters ActiveAdapters::for_rows(const std::vector<std::string>& names) const {
  for (const std::string& name : names)
    if (!name.empty() &&
        (!adapters_ || std::count(adapters_->names.begin(), adapters_->names.end(), std::optional(name)) == 0))
      throw UsageError("adapters: expected the name of one of the pass, found \"" + name + "\"");
  ActiveAdapters active = *this;
  active.named_rows_ = static_cast<std::int64_t>(names.size());
  if (!adapters_) return active;
  auto rows = std::make_shared<Rows>();
  for (const std::optional<std::string>& name : adapters_->names) {
    std::vector<IndexRange>& ranges = rows->emplace_back();
    if (!name) {
      ranges.push_back({});
      continue;
    }
    for (std::size_t row = 0; row < names.size(); ++row) {
      if (names[row] != *name) continue;
      auto at = static_cast<std::int64_t>(row);
      if (ranges.empty() || ranges.back().end != at) ranges.push_back({at, at});
      ++ranges.back().end;
    }
  }
  active.rows_ = std::move(rows);
  return active;
}

void ActiveAdapters::check_rows(std::int64_t rows) const {
  if (named_rows_.value_or(rows) != rows)
    throw UsageError("adapters: expected names for the batch's " + std::to_string(rows) + " rows, found " +
                     std::to_string(*named_rows_));
}

const std::vector<ActiveModule>& ActiveAdapters::of(const std::string& module) const {
  static const std::vector<ActiveModule> none;
  if (!adapters_) return none;
  auto found = adapters_->modules.find(module);
  return found == adapters_->modules.end() ? none : found->second;
}

}  // namespace loragrad
