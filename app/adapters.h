#pragma once
#include <set>
#include <string>
#include <vector>

#include "data/dataset.h"
#include "models/files/merged_model.h"
#include "models/model.h"

namespace loragrad {

/// A base on disk: its folder, and the model or its outline.
struct Base {
  const CausalLm& model;
  std::string folder;
};

/// An adapter for this base, with warnings printed: of fields without effect, and where it was made for another base.
Adapter open_adapter(const std::string& folder, const Base& base, const DevicePtr& device, bool trainable);

/// The same for arguments "[NAME=]DIR[:WEIGHT]", on `device`, or on the base's.
std::vector<WeightedAdapter> open_adapters(const std::vector<std::string>& arguments, const Base& base,
                                           const DevicePtr& device);
std::vector<WeightedAdapter> open_adapters(const std::vector<std::string>& arguments, const Base& base);

/// Opens them for passes of this model, with the parameters of the base that they have in their places.
ActiveAdapters activate_adapters(CausalLm& model, const std::string& folder, const std::vector<std::string>& arguments);

/// The same of an outline's base, on its meta device; nothing is printed.
std::vector<WeightedAdapter> outline_adapters(const std::vector<std::string>& arguments, const Base& base);

/// Warns of named adapters that are not among those that rows have chosen.
void warn_of_unused_adapters(const std::vector<std::string>& arguments, const std::set<std::string>& chosen);
/// What a data set's rows have chosen.
std::set<std::string> chosen_adapters(const Dataset& data);

/// Why an adapter's folder was made for another base than this: the hash in its card differs (models/files/base_hash.h), or
/// without one, the names of the hub that both have. "" where nothing speaks against it.
std::string other_base_text(const std::string& adapter_folder, const std::string& base_name, const Base& base);

}  // namespace loragrad
