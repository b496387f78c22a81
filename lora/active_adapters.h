#pragma once
// Threads: copies are independent; what they share is only read.
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "lora/adapter.h"

namespace loragrad {

/// One adapter's module in a pass.
struct ActiveModule {
  LoraModule module;
  double weight = 1;
  double dropout = 0;
  IndexRange rows;  ///< of the batch
};

/// The adapters that take part in a pass, by module: how much of each, and in which rows. It shares the adapters'
/// tensors; copies are cheap and independent.
class ActiveAdapters {
 public:
  ActiveAdapters() = default;  ///< none
  /// Adds an adapter to those that are there already. CausalLm::activate sees to it that the model has its modules.
  void add(const WeightedAdapter& adapter);
  bool empty() const { return !modules_; }
  /// Those of one linear map, in the order in which they were added.
  const std::vector<ActiveModule>& of(const std::string& module) const;

 private:
  using Modules = std::unordered_map<std::string, std::vector<ActiveModule>>;
  std::shared_ptr<const Modules> modules_;
};

}  // namespace loragrad
