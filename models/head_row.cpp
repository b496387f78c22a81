#include "models/head_row.h"

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
  ConstMatrix head = model.head().view();
  if (!head.data) throw UsageError("head row: expected a model with weights, found one on a meta device");
  if (id < 0 || id >= head.rows)
    throw UsageError(fmt::format("head row: expected an id below {}, found {}", head.rows, id));
  ConstMatrix row = row_range(head, id, 1);
  HeadRow found;
  for (const auto& [name, parameter] : model.parameters())
    if (parameter->view().data == head.data) found.parameter = name;
  double norm = l2_norm(model.device(), row);
  if (!std::isfinite(norm)) return found;
  found.zero = norm == 0;
  std::size_t bytes = static_cast<std::size_t>(head.cols) * size_of(head.dtype);
  for (std::int64_t other = std::max<std::int64_t>(0, id - looked_at); other < head.rows; ++other) {
    if (other == id + looked_at + 1) other = std::max(other, head.rows - looked_at);
    if (other != id && std::memcmp(row_range(head, other, 1).data, row.data, bytes) == 0) ++found.equal;
  }
  return found;
}

}  // namespace loragrad
