#include "models/active_terms.h"

#include <algorithm>

#include "engine/random.h"
#include "lora/variant.h"

namespace loragrad {
namespace {

IndexRange tokens_of(const IndexRange& rows, const RowSpans& spans) {
  auto token = [&](std::int64_t row) { return spans.first_token(std::clamp<std::int64_t>(row, 0, spans.rows())); };
  return {token(rows.begin), token(rows.end)};
}

}  // namespace

void add_active_terms(LoraMap& map, const std::string& name, const Pass& pass) {
  for (const ActiveModule& a : pass.adapters.of(name)) {
    Dropout dropout;
    if (pass.training && a.dropout > 0)
      dropout = {a.dropout, mix(pass.dropout_key, hash_name(name.data(), name.size())), pass.batch.dropout_tokens};
    for (const IndexRange& rows : pass.adapters.rows_of(a))
      a.module.variant->add_to(
          map, a.module, {a.weight, dropout, tokens_of(rows, *pass.batch.spans), pass.rows_alone || !pass.record});
  }
}

}  // namespace loragrad
