#include "lora/trained_rows.h"

#include <fmt/format.h>

#include <set>

#include "engine/error.h"

namespace loragrad {

bool is_module_of(const TrainableTokens& entry, std::string_view module, bool is_embedding) {
  return entry.module.empty() ? is_embedding : module.ends_with(entry.module);
}

void check_token_indices(const LoraConfig& config) {
  for (const TrainableTokens& entry : config.trainable_token_indices) {
    std::string field = "trainable_token_indices" + (entry.module.empty() ? "" : "." + entry.module);
    if (entry.ids.empty()) throw UsageError(field + ": expected at least one token, found none");
    std::set<std::int32_t> seen;
    for (std::int32_t id : entry.ids)
      if (!seen.insert(id).second)
        throw UsageError(fmt::format("{}: expected each token once, found {} twice", field, id));
  }
}

}  // namespace loragrad
