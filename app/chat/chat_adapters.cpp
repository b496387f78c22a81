#include "app/chat/chat_adapters.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

#include "engine/error.h"
#include "io/json.h"
#include "io/message.h"
#include "io/siblings.h"

namespace loragrad {
namespace {

std::string weight_text(double weight) { return weight == 1 ? "" : fmt::format(" ({})", weight); }

}  // namespace

ChatAdapters::ChatAdapters(const Base& base, const std::vector<std::string>& arguments) : base_(base) {
  std::vector<Chosen> unnamed, all;
  for (const AdapterArgument& argument : AdapterArgument::parse(arguments)) {
    all.push_back({open(argument), argument.weight});
    if (argument.name.empty()) unnamed.push_back(all.back());
  }
  if (unnamed.empty() && !all.empty()) unnamed = {all.front()};
  activate(std::move(unnamed));
}

std::size_t ChatAdapters::open(const AdapterArgument& argument) {
  std::string name = argument.name.empty() ? last_name(argument.folder) : argument.name;
  auto has_name = [&](const Opened& other) { return other.name == name; };
  if (name.empty() || name == "none" || std::any_of(opened_.begin(), opened_.end(), has_name)) name = argument.folder;
  Adapter adapter = open_adapter(argument.folder, base_, base_.model.device(), false);
  // Its values would stay in the base when another adapter is chosen.
  std::string found;
  if (!adapter.rows_of_base.empty())
    found = "trained tokens of " + adapter.rows_of_base.front().module;
  else if (!adapter.parameters_of_base.empty())
    found = "a parameter of the base, " + adapter.parameters_of_base.front().name;
  if (!found.empty())
    throw UsageError(argument.folder + ": expected an adapter of linear maps alone, found " + found +
                     " (generate takes it)");
  opened_.push_back({name, argument.folder, std::move(adapter)});
  return opened_.size() - 1;
}

ChatAdapters::Chosen ChatAdapters::find_or_open(const std::string& word) {
  auto named = [&](const std::string& name) {
    return static_cast<std::size_t>(
        std::find_if(opened_.begin(), opened_.end(),
                     [&](const Opened& each) { return each.name == name || each.folder == name; }) -
        opened_.begin());
  };
  if (std::size_t at = named(word); at < opened_.size()) return {at, 1};
  AdapterArgument argument = AdapterArgument::parse(word);
  std::size_t at = argument.name.empty() ? named(argument.folder) : opened_.size();
  if (at < opened_.size()) return {at, argument.weight};
  if (!std::filesystem::exists(argument.folder)) {
    std::vector<std::string> names;
    for (const Opened& each : opened_) names.push_back(each.name);
    throw UsageError(fmt::format("/adapter: expected {}, none, or a folder, found \"{}\"",
                                 names.empty() ? "an adapter" : loragrad::list_text(names), escaped(word)));
  }
  return {open(argument), argument.weight};
}

void ChatAdapters::activate(std::vector<Chosen> chosen) {
  std::vector<WeightedAdapter> adapters;
  for (const Chosen& each : chosen) adapters.push_back({opened_[each.opened].adapter, each.weight});
  active_ = base_.model.activate(adapters);
  chosen_ = std::move(chosen);
}

void ChatAdapters::choose(const std::vector<std::string>& words) {
  std::vector<Chosen> chosen;
  if (words != std::vector<std::string>{"none"})
    for (const std::string& word : words) chosen.push_back(find_or_open(word));
  activate(std::move(chosen));
}

std::string ChatAdapters::active_text() const {
  std::string text;
  for (const Chosen& each : chosen_)
    text += (text.empty() ? "" : " + ") + opened_[each.opened].name + weight_text(each.weight);
  return text.empty() ? "none: the base alone" : text;
}

std::string ChatAdapters::list_text() const {
  std::string text;
  for (std::size_t i = 0; i < opened_.size(); ++i) {
    bool active = std::any_of(chosen_.begin(), chosen_.end(), [&](const Chosen& each) { return each.opened == i; });
    text += fmt::format("{} {}  {}\n", active ? "*" : " ", opened_[i].name, opened_[i].folder);
  }
  return text;
}

}  // namespace loragrad
