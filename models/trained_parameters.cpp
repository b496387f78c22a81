#include "models/trained_parameters.h"

#include <algorithm>
#include <set>

#include "engine/error.h"
#include "io/json.h"
#include "lora/saved_modules.h"
#include "models/files/base_tensors.h"
#include "models/trained_rows.h"

namespace loragrad {
namespace {

/// The model's parameters, a tied head among them.
std::vector<std::pair<std::string, const Parameter*>> parameters_of(const CausalLm& model) {
  std::vector<std::pair<std::string, const Parameter*>> all;
  bool has_head = false;
  for (const auto& [name, slot] : model.parameters()) {
    all.emplace_back(name, slot.get());
    has_head = has_head || name == head_name;
  }
  if (!has_head) all.emplace_back(head_name, &model.head());
  return all;
}

}  // namespace

std::vector<TrainedParameter> parameters_to_train(const CausalLm& model, const LoraConfig& config,
                                                  const std::vector<LoraModule>& modules, DType dtype) {
  auto all = parameters_of(model);
  for (const std::string& end : config.modules_to_save)
    if (std::none_of(all.begin(), all.end(), [&](const auto& each) { return is_saved_with({end}, each.first); }))
      throw InputError("modules_to_save: expected the end of a module's name, found \"" + escaped(end, 200) +
                       "\", which is none");
  std::set<std::string> adapted = names_of(modules);
  std::vector<TrainedParameter> result;
  for (const auto& [name, parameter] : all) {
    if (!is_trained(config, adapted, name)) continue;
    Tensor values = parameter->weight().to_tensor(dtype);
    values.set_trainable();
    result.push_back({name, values, parameter->dtype()});
  }
  return result;
}

void put_parameters(CausalLm& model, const Adapter& adapter) {
  put_rows(model, adapter);  // while a tied head is tied
  const std::vector<TrainedParameter>& trained = adapter.parameters_of_base;
  auto has = [&](const std::string& name) {
    return std::any_of(trained.begin(), trained.end(), [&](const auto& each) { return each.name == name; });
  };
  auto all = parameters_of(model);
  std::set<std::string> adapted = names_of(adapter.modules);
  for (const auto& [name, parameter] : all)
    if (is_trained(adapter.config, adapted, name) && !has(name))
      throw InputError("adapter: expected a trained " + name + ", found none");
  for (const TrainedParameter& each : trained) {
    auto own = std::find_if(all.begin(), all.end(), [&](const auto& named) { return named.first == each.name; });
    if (own == all.end()) throw InputError("adapter: the model has no parameter " + each.name);
    if (own->second->shape() != each.values.shape())
      throw InputError("adapter: " + each.name + ": expected " + own->second->shape().text() + ", found " +
                       each.values.shape().text());
  }
  for (const TrainedParameter& each : trained) {
    WeightLayout layout = WeightLayout::out_in;
    for (const auto& [name, slot] : model.parameters())
      if (name == each.name) {
        layout = slot->layout();
        // PEFT trains a copy of an embedding, of which the head knows nothing.
        if (slot.get() == &model.head() && name != head_name) model.replace(head_name, model.head());
        break;
      }
    Parameter parameter =
        each.values.needs_grad() ? Parameter(each.values, layout) : Parameter(Weight(each.values, layout));
    model.replace(each.name, parameter);
  }
}

void put_parameters(CausalLm& model, const std::vector<WeightedAdapter>& adapters) {
  const WeightedAdapter* found = nullptr;
  for (const WeightedAdapter& each : adapters) {
    const std::vector<TrainedRows>& rows = each.adapter.rows_of_base;
    if (each.adapter.parameters_of_base.empty() && rows.empty()) continue;
    std::string name = rows.empty() ? each.adapter.parameters_of_base.front().name : rows_name(rows.front().module);
    if (found) throw UsageError("adapters: expected at most one with parameters of the base, found two: " + name);
    if (each.name || each.weight != 1)
      throw UsageError("adapters: expected one with parameters of the base (" + name +
                       ") to be for all rows and with a weight of 1, found another use");
    found = &each;
  }
  if (!found) return;
  const std::vector<TrainedRows>& rows = found->adapter.rows_of_base;
  for (const WeightedAdapter& each : adapters)
    for (const LoraModule& module : each.adapter.modules)
      for (const TrainedRows& trained : rows)
        if (module.name == trained.module || (module.name == head_module && model.is_tied()))
          throw InputError("adapters: " + module.name + ": expected trained tokens of " + trained.module +
                           " beside no adapter of it, found one");
  put_parameters(model, found->adapter);
}

}  // namespace loragrad
