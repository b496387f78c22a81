#include "app/adapters.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

#include "app/console.h"
#include "app/inputs.h"
#include "engine/error.h"
#include "lora/adapter_file.h"
#include "models/base_hash.h"
#include "train/model_card.h"

namespace loragrad {
namespace {

namespace fs = std::filesystem;

bool same_hub_name(std::string a, std::string b) {
  // The hub does not tell case apart, and knows its oldest models without an organisation too.
  for (std::string* name : {&a, &b})
    for (char& c : *name) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  auto last = [](const std::string& name) { return name.substr(name.find('/') + 1); };
  bool both_full = a.find('/') != std::string::npos && b.find('/') != std::string::npos;
  return both_full ? a == b : last(a) == last(b);
}

/// Of "models--ORG--NAME" in ".../models--ORG--NAME/snapshots/REVISION".
std::optional<std::string> snapshot_name(const fs::path& path) {
  constexpr std::string_view begin = "models--", between = "--";
  for (auto part = path.begin(); part != path.end(); ++part) {
    std::string name = part->string();
    auto next = std::next(part);
    if (!name.starts_with(begin) || next == path.end() || *next != "snapshots") continue;
    name = name.substr(begin.size());
    if (std::size_t at = name.find(between); at != std::string::npos) name.replace(at, between.size(), "/");
    return name;
  }
  return std::nullopt;
}

}  // namespace

std::optional<std::string> hub_name(const std::string& name_or_path) {
  fs::path path(name_or_path);
  std::error_code error;
  if (auto name = snapshot_name(path)) return name;
  if (fs::exists(path, error)) return snapshot_name(fs::weakly_canonical(path, error));
  auto plain = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_' ||
           c == '.' || c == '/';
  };
  bool two_parts = std::count(name_or_path.begin(), name_or_path.end(), '/') == 1;
  std::size_t slash = name_or_path.find('/');
  if (!two_parts || slash == 0 || slash + 1 == name_or_path.size() || name_or_path[0] == '.' ||
      !std::all_of(name_or_path.begin(), name_or_path.end(), plain))
    return std::nullopt;
  return name_or_path;
}

std::string other_base_text(const std::string& adapter_folder, const std::string& base_name, const Base& base) {
  if (auto made_for = card_base_hash(adapter_folder)) {
    std::string found = base_hash(base.model, BaseTensors(base.model, base.folder));
    if (found == *made_for) return "";
    return fmt::format("made for another base{}: its model card has the hash {}, {} has {}",
                       base_name.empty() ? "" : " (" + base_name + ")", *made_for, base.folder, found);
  }
  auto made_for = hub_name(base_name), found = hub_name(base.folder);
  if (!made_for || !found || same_hub_name(*made_for, *found)) return "";
  return fmt::format("made for another base: {}, not {}", *made_for, *found);
}

Adapter open_adapter(const std::string& folder, const Base& base, const DevicePtr& device, bool trainable) {
  std::vector<std::string> warnings;
  std::optional<BaseTensors> tensors;
  auto find = [&](const std::string& name) {
    if (!tensors) tensors.emplace(base.model, base.folder);
    return tensors->find_tied(name);
  };
  Adapter adapter = load_adapter(folder, device, base.model.linear_shapes(), trainable, &warnings, DType::f32, find);
  if (std::string other = other_base_text(folder, adapter.base_model, base); !other.empty())
    warnings.push_back(folder + ": " + other);
  for (const std::string& warning : warnings) warn(warning);
  return adapter;
}

std::vector<WeightedAdapter> open_adapters(const std::vector<std::string>& arguments, const Base& base) {
  std::vector<WeightedAdapter> adapters;
  for (const std::string& text : arguments) {
    AdapterArgument argument = AdapterArgument::parse(text);
    require_folder(argument.folder);
    adapters.push_back({open_adapter(argument.folder, base, base.model.device(), false), argument.weight});
  }
  return adapters;
}

}  // namespace loragrad
