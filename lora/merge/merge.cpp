#include "lora/merge/merge.h"

#include <algorithm>
#include <cmath>

#include "engine/error.h"
#include "io/stored_values.h"
#include "lora/merge/rounded_values.h"
#include "lora/variant.h"
#include "ops/checks.h"
#include "ops/l2_norm.h"

namespace loragrad {
namespace {

void check_finite(const DevicePtr& device, const ConstMatrix& matrix, const std::string& name,
                  const std::string& what) {
  if (!is_finite(device, matrix))
    throw NumericError(name + ": expected finite numbers in " + what + ", found NaN or Inf");
}

std::vector<AddChange> read_terms(const std::string& name, const Weight& w, const std::vector<MergeTerm>& terms,
                                  DType dtype) {
  std::vector<AddChange> result;
  for (const MergeTerm& term : terms) {
    const LoraModule& module = *term.module;
    double scale = term.weight * module.scale;
    if (!std::isfinite(scale)) throw NumericError(name + ": expected a finite scale, found " + std::to_string(scale));
    for (const VariantTensor& tensor : module.variant->tensors()) {
      const Tensor& values = module.*tensor.place;
      check_one_device("merge", w.device(), values.device());
      check_finite(w.device(), values.matrix(), name, "the adapter's " + std::string(tensor.name));
    }
    result.push_back(module.variant->change(term.parameter, module, w, term.weight, dtype));
  }
  return result;
}

/// Of the rows of W that `block` holds, from `begin` on: the change that the adapters are to make, and the one that
/// stands in `merged`, W' as the file has it.
ChangeKept change_kept(const Weight& w, const std::vector<AddChange>& terms, std::int64_t begin, const Tensor& before,
                       const std::byte* merged) {
  Tensor change = Tensor::empty(w.device(), before.shape(), before.dtype());
  for (std::size_t i = 0; i < terms.size(); ++i) terms[i](change.mutable_matrix(), begin, i == 0 ? 0 : 1);
  ChangeKept result;
  auto sum = [&](const auto& old_values, const auto& changes) {
    for (std::size_t i = 0; i < changes.size(); ++i) {
      double intended{changes[i]};
      result.intended += intended * intended;
      result.kept += (stored_value(merged, w.dtype(), i) - double{old_values[i]}) * intended;
    }
  };
  if (before.dtype() == DType::f64)
    sum(before.values<double>(), change.values<double>());
  else
    sum(before.values<float>(), change.values<float>());
  return result;
}

}  // namespace

std::vector<std::byte> merge_weight(const std::string& name, const Weight& w, const std::vector<MergeTerm>& terms,
                                    ChangeKept* kept) {
  Device& device = *w.device();
  DType dtype = accumulation_type(w.dtype());
  std::vector<AddChange> changes = read_terms(name, w, terms, dtype);
  Shape shape = w.shape();
  std::vector<std::byte> out(bytes_of(w.dtype(), shape.numel()));
  std::size_t at = 0;

  std::size_t row_bytes = std::max<std::size_t>(1, bytes_of(dtype, shape.cols));
  auto block_rows = static_cast<std::int64_t>(std::max<std::size_t>(1, merge_block_bytes / row_bytes));
  for (std::int64_t begin = 0; begin < shape.rows; begin += block_rows) {
    auto rows_of_w = [&] {
      Tensor rows = Tensor::empty(w.device(), {std::min(block_rows, shape.rows - begin), shape.cols}, dtype);
      device.kernels().accumulate(device, {row_range(w.view(), begin, rows.rows()), 1, rows.mutable_matrix(), 0});
      return rows;
    };
    Tensor block = rows_of_w();
    check_finite(w.device(), block.matrix(), name, "the weight");
    for (const AddChange& add : changes) add(block.mutable_matrix(), begin, 1);
    std::byte* merged = out.data() + at;
    if (!round_values(block, w.dtype(), merged))
      throw NumericError(name + ": expected finite numbers in the merged weight, found NaN or Inf in " +
                         std::string(name_of(w.dtype())));
    if (kept) *kept += change_kept(w, changes, begin, rows_of_w(), merged);
    at += bytes_of(w.dtype(), block.numel());
  }
  return out;
}

}  // namespace loragrad
