#include "models/rope/rope.h"

#include <algorithm>
#include <limits>
#include <string>
#include <utility>

#include "ops/elementwise.h"
#include "ops/rope.h"

namespace loragrad {

void add_ropes(ModelConfig& c, const std::vector<Rope>& ropes) {
  double stretch = 1;
  for (std::size_t i = 0; i < ropes.size(); ++i) {
    const Rope& rope = ropes[i];
    std::string number = i == 0 ? "" : std::to_string(i + 1);
    c.details.emplace_back("rope_frequencies" + number, rope.frequencies);
    if (rope.factor != 1) c.details.emplace_back("rope_factor" + number, std::vector{rope.factor});
    if (rope.longest > 0)
      c.details.emplace_back("rope_beyond" + number, std::vector{static_cast<double>(rope.longest), rope.stretch});
    if (!rope.long_frequencies.empty()) c.details.emplace_back("rope_long_frequencies" + number, rope.long_frequencies);
    if (rope.longest > 0 && (c.positions_turned_alike == 0 || rope.longest < c.positions_turned_alike))
      c.positions_turned_alike = rope.longest;
    stretch = std::max(stretch, rope.stretch);
  }
  double positions = stretch * static_cast<double>(c.max_position_embeddings);
  c.max_position_embeddings =
      static_cast<std::int64_t>(std::min<double>(positions, std::numeric_limits<std::int32_t>::max()));
}

namespace {

Tensor multiplied(const Tensor& turns, double factor) { return factor == 1 ? turns : scale(turns, factor); }

}  // namespace

Rotary::Rotary(Rope rope, const DevicePtr& device)
    : rope_(std::move(rope)),
      frequencies_(Tensor::from(device, {1, static_cast<std::int64_t>(rope_.frequencies.size())}, rope_.frequencies)) {}

Tensor Rotary::operator()(const Batch& batch, DType dtype) const {
  if (rope_.frequencies.empty()) return {};
  const std::vector<RowSpan>& rows = batch.spans->spans;
  auto is_long = [this](const RowSpan& row) { return rope_.longest > 0 && row.keys > rope_.longest; };
  if (std::none_of(rows.begin(), rows.end(), is_long))
    return multiplied(rotations(batch.positions, frequencies_, dtype), rope_.factor);
  std::vector<double> of_rows;
  auto beyond = [this](std::int64_t tokens) {
    return rope_.long_frequencies.empty() ? rope_.beyond(tokens) : rope_.long_frequencies;
  };
  for (const RowSpan& row : rows) {
    std::vector<double> own = is_long(row) ? beyond(row.keys) : rope_.frequencies;
    of_rows.insert(of_rows.end(), own.begin(), own.end());
  }
  Tensor all = Tensor::from(frequencies_.device(), {batch.spans->rows(), frequencies_.cols()}, std::move(of_rows));
  return multiplied(rotations(batch.positions, *batch.spans, all, dtype), rope_.factor);
}

}  // namespace loragrad
