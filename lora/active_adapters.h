#pragma once
// Threads: copies are independent; what they share is only read.
#include <cstdint>
#include <limits>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "lora/adapter.h"

namespace loragrad {

/// Rows `begin` .. `end` of a batch.
struct RowRange {
  std::int64_t begin = 0, end = std::numeric_limits<std::int64_t>::max();
};

/// One adapter's module in a pass.
struct ActiveModule {
  LoraModule module;
  double weight = 1;
  double dropout = 0;
  RowRange rows;
};

/// The adapters that take part in a pass, by module: how much of each, and in which rows. It shares the adapters'
/// tensors; copies are cheap and independent.
class ActiveAdapters {
 public:
  ActiveAdapters() = default;  ///< none
  /// Adds an adapter to those that are there already.
  void add(const Adapter& adapter, double weight = 1, RowRange rows = {});
  bool empty() const { return !modules_; }
  /// Those of one linear map, in the order in which they were added.
  const std::vector<ActiveModule>& of(const std::string& module) const;

 private:
  using Modules = std::unordered_map<std::string, std::vector<ActiveModule>>;
  std::shared_ptr<const Modules> modules_;
};

}  // namespace loragrad
