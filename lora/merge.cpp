#include "lora/merge.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "engine/error.h"
#include "lora/half.h"
#include "ops/gemm.h"

namespace loragrad {
namespace {

/// A block of W' on the device and its copy on the host are what a merge takes beside W and W'.
constexpr std::size_t scratch_bytes = std::size_t{64} << 20;

struct Factors {
  Tensor a, b;
  double scale;
};

bool is_finite(Device& device, const ConstMatrix& matrix) {
  return std::isfinite(device.kernels().squared_norm(device, matrix));
}

void check_finite(Device& device, const ConstMatrix& matrix, const std::string& name, const char* what) {
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
    double scale = term.weight * term.module->scale;
    if (!std::isfinite(scale)) throw NumericError(name + ": expected a finite scale, found " + std::to_string(scale));
    check_finite(*w.device(), a.matrix(), name, "the adapter's A");
    check_finite(*w.device(), b.matrix(), name, "the adapter's B");
    result.push_back(
        {a.dtype() == dtype ? a.detach() : a.to(dtype), b.dtype() == dtype ? b.detach() : b.to(dtype), scale});
  }
  return result;
}

/// block += s B A, rows [begin, begin + block.rows) of W as it is stored.
void add_product(Device& device, Matrix block, const Factors& term, std::int64_t begin, WeightLayout layout) {
  if (layout == WeightLayout::out_in) {
    gemm(device, {.c = block,
                  .a = row_range(term.b.matrix(), begin, block.rows),
                  .b = term.a.matrix(),
                  .alpha = term.scale,
                  .beta = 1});
  } else {  // (B A)ᵀ = Aᵀ Bᵀ
    gemm(device, {.c = block,
                  .a = column_range(term.a.matrix(), begin, block.rows),
                  .b = term.b.matrix(),
                  .transpose_a = true,
                  .transpose_b = true,
                  .alpha = term.scale,
                  .beta = 1});
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

}  // namespace

std::vector<std::byte> merge_weight(const std::string& name, const Weight& w, const std::vector<MergeTerm>& terms) {
  Device& device = *w.device();
  DType dtype = w.dtype() == DType::f64 ? DType::f64 : DType::f32;
  std::vector<Factors> factors = read_terms(name, w, terms, dtype);
  Shape shape = w.shape();
  std::vector<std::byte> out(static_cast<std::size_t>(shape.numel()) * size_of(w.dtype()));
  std::size_t at = 0;

  std::size_t row_bytes = std::max<std::size_t>(1, static_cast<std::size_t>(shape.cols) * size_of(dtype));
  auto block_rows = static_cast<std::int64_t>(std::max<std::size_t>(1, scratch_bytes / 2 / row_bytes));
  for (std::int64_t begin = 0; begin < shape.rows; begin += block_rows) {
    Tensor block = Tensor::empty(w.device(), {std::min(block_rows, shape.rows - begin), shape.cols}, dtype);
    device.kernels().accumulate(device, row_range(w.matrix(), begin, block.rows()), 1, block.mutable_matrix(), 0);
    check_finite(device, block.matrix(), name, "the weight");
    for (const Factors& term : factors) add_product(device, block.mutable_matrix(), term, begin, w.layout());
    if (!append(out, at, block, w.dtype()))
      throw NumericError(name + ": expected finite numbers in the merged weight, found NaN or Inf in " +
                         std::string(name_of(w.dtype())));
  }
  return out;
}

}  // namespace loragrad
