#include "lora/active_adapters.h"

namespace loragrad {

void ActiveAdapters::add(const WeightedAdapter& added) {
  auto modules = modules_ ? std::make_shared<Modules>(*modules_) : std::make_shared<Modules>();
  for (const LoraModule& module : added.adapter.modules)
    (*modules)[module.name].push_back({module, added.weight, added.adapter.config.lora_dropout, added.rows});
  modules_ = std::move(modules);
}

const std::vector<ActiveModule>& ActiveAdapters::of(const std::string& module) const {
  static const std::vector<ActiveModule> none;
  if (!modules_) return none;
  auto found = modules_->find(module);
  return found == modules_->end() ? none : found->second;
}

}  // namespace loragrad
