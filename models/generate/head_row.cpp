#include "models/generate/head_row.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "engine/error.h"
#include "ops/l2_norm.h"

namespace loragrad {
namespace {

constexpr std::int64_t looked_at = 256;

}  // namespace

HeadRow head_row(const CausalLm& model, std::int32_t id) {
  const Weight& head = model.head().weight();
  std::int64_t rows = head.shape().rows;
  if (model.device()->is_meta())
    throw UsageError("head row: expected a model with weights, found one on a meta device");
  if (id < 0 || id >= rows) throw UsageError(fmt::format("head row: expected an id below {}, found {}", rows, id));
  Weight row = head.rows(id, 1);
  HeadRow found;
  for (const auto& [name, parameter] : model.parameters())
    if (parameter->view().data == head.view().data) found.parameter = name;
  double norm = l2_norm(model.device(), row.view());
  if (!std::isfinite(norm)) return found;
  found.zero = norm == 0;
  HostBytes own = row.on_host();
  auto look = [&](std::int64_t begin, std::int64_t end) {
    HostBytes all = head.rows(begin, end - begin).on_host();
    for (std::int64_t other = begin; other < end; ++other) {
      const auto* at = static_cast<const std::byte*>(all.data) + static_cast<std::size_t>(other - begin) * own.size;
      if (other != id && std::memcmp(at, own.data, own.size) == 0) ++found.equal;
    }
  };
  std::int64_t begin = std::max<std::int64_t>(0, id - looked_at), end = std::min(rows, id + looked_at + 1);
  look(begin, end);
  look(std::max(end, rows - looked_at), rows);
  return found;
}

}  // namespace loragrad
