#include "lora/merge.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "engine/error.h"
#include "engine/half.h"
#include "io/stored_values.h"
#include "ops/checks.h"
#include "ops/gemm.h"
#include "ops/l2_norm.h"

namespace loragrad {
namespace {

struct Factors {
  Tensor a, b;
  double scale;
};

void check_finite(const DevicePtr& device, const ConstMatrix& matrix, const std::string& name, const char* what) {
  if (!is_finite(device, matrix))
    throw NumericError(name + ": expected finite numbers in " + what + ", found NaN or Inf");
}

std::vector<Factors> read_terms(const std::string& name, const Weight& w, const std::vector<MergeTerm>& terms,
                                DType dtype) {
  std::vector<Factors> result;
  for (const MergeTerm& term : terms) {
    const Tensor &a = term.module->a, &b = term.module->b;
    if (a.cols() != w.in_features() || b.rows() != w.out_features() || a.rows() != b.cols())
      throw ShapeError("merge: " + name + ": A " + a.shape().text() + " and B " + b.shape().text() +
                       " do not fit a weight of in = " + std::to_string(w.in_features()) +
                       ", out = " + std::to_string(w.out_features()));
    for (const Tensor* factor : {&a, &b}) check_one_device("merge", w.device(), factor->device());
    double scale = term.weight * term.module->scale;
    if (!std::isfinite(scale)) throw NumericError(name + ": expected a finite scale, found " + std::to_string(scale));
    check_finite(w.device(), a.matrix(), name, "the adapter's A");
    check_finite(w.device(), b.matrix(), name, "the adapter's B");
    result.push_back(
        {a.dtype() == dtype ? a.detach() : a.to(dtype), b.dtype() == dtype ? b.detach() : b.to(dtype), scale});
  }
  return result;
}

/// block = beta block + s B A, rows [begin, begin + block.rows) of W as it is stored.
void add_product(Device& device, Matrix block, const Factors& term, std::int64_t begin, WeightLayout layout,
                 double beta = 1) {
  if (layout == WeightLayout::out_in) {
    gemm(device, {.c = block,
                  .a = row_range(term.b.matrix(), begin, block.rows),
                  .b = term.a.matrix(),
                  .alpha = term.scale,
                  .beta = beta});
  } else {  // (B A)ᵀ = Aᵀ Bᵀ
    gemm(device, {.c = block,
                  .a = column_range(term.a.matrix(), begin, block.rows),
                  .b = term.b.matrix(),
                  .transpose_a = true,
                  .transpose_b = true,
                  .alpha = term.scale,
                  .beta = beta});
  }
}

/// Rounds to the file's type and appends; false for a result that is not finite.
template <class T, class Round>
bool append(std::vector<std::byte>& out, std::size_t& at, const std::vector<T>& values, Round round) {
  bool finite = true;
  for (T value : values) {
    auto stored = round(value);
    finite = finite && std::isfinite(static_cast<T>(stored));
    std::memcpy(out.data() + at, &stored, sizeof stored);
    at += sizeof stored;
  }
  return finite;
}

bool append(std::vector<std::byte>& out, std::size_t& at, const Tensor& block, DType dtype) {
  if (dtype == DType::f64) return append(out, at, block.values<double>(), [](double value) { return value; });
  std::vector<float> values = block.values<float>();
  if (dtype == DType::bf16) return append(out, at, values, [](float value) { return bf16(value); });
  if (dtype == DType::f16) return append(out, at, values, [](float value) { return to_f16(value); });
  return append(out, at, values, [](float value) { return value; });
}

/// Of the rows of W that `block` holds, from `begin` on: the change that the adapters are to make, and the one that
/// stands in `merged`, W' as the file has it.
ChangeKept change_kept(Device& device, const Weight& w, const std::vector<Factors>& terms, std::int64_t begin,
                       const Tensor& before, const std::byte* merged) {
  Tensor change = Tensor::empty(w.device(), before.shape(), before.dtype());
  for (std::size_t i = 0; i < terms.size(); ++i)
    add_product(device, change.mutable_matrix(), terms[i], begin, w.layout(), i == 0 ? 0 : 1);
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
  std::vector<Factors> factors = read_terms(name, w, terms, dtype);
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
    for (const Factors& term : factors) add_product(device, block.mutable_matrix(), term, begin, w.layout());
    std::size_t begin_byte = at;
    if (!append(out, at, block, w.dtype()))
      throw NumericError(name + ": expected finite numbers in the merged weight, found NaN or Inf in " +
                         std::string(name_of(w.dtype())));
    if (kept) *kept += change_kept(device, w, factors, begin, rows_of_w(), out.data() + begin_byte);
  }
  return out;
}

}  // namespace loragrad
