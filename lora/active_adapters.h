#pragma once
// Threads: copies are independent; what they share is only read.
#include <memory>
#include <optional>
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
  std::size_t adapter = 0;  ///< which of those that were added, from 0
};

/// The adapters that take part in a pass, by module: how much of each, and in which rows of the batch. It shares the
/// adapters' tensors; copies are cheap and independent.
class ActiveAdapters {
 public:
  ActiveAdapters() = default;  ///< none
  /// Adds an adapter to those that are there already. CausalLm::activate sees to it that the model has its modules.
  void add(const WeightedAdapter& adapter);
  bool empty() const { return adapters_ == nullptr; }

  /// The same for a batch whose row r is named names[r]: WeightedAdapter::name says which adapters it has, and several
  /// may have one name. Without this every row's name is "". Cheap enough for every step of a decoding. UsageError for
  /// a name that no adapter has, "" aside.
  ActiveAdapters for_rows(const std::vector<std::string>& names) const;
  /// UsageError where for_rows named another number of rows than a batch has.
  void check_rows(std::int64_t rows) const;

  /// Those of one linear map, in the order in which they were added.
  const std::vector<ActiveModule>& of(const std::string& module) const;
  /// Where such a one takes part: its rows of the batch in runs of neighbours, from the first on.
  const std::vector<IndexRange>& rows_of(const ActiveModule& module) const { return (*rows_)[module.adapter]; }

 private:
  struct Adapters {
    std::unordered_map<std::string, std::vector<ActiveModule>> modules;
    std::vector<std::optional<std::string>> names;  // of each adapter
  };
  using Rows = std::vector<std::vector<IndexRange>>;  // of each adapter

  std::shared_ptr<const Adapters> adapters_;
  std::shared_ptr<const Rows> rows_;
  std::optional<std::int64_t> named_rows_;
};

}  // namespace loragrad
