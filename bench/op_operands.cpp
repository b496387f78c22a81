#include "bench/op_cases.h"
#include "bench/random_tensor.h"

namespace loragrad::bench {
namespace {

double bytes_of(const Matrix& m) {
  return static_cast<double>(m.rows * m.cols) * static_cast<double>(size_of(m.dtype));
}

}  // namespace

Matrix Operands::memory(std::int64_t rows, std::int64_t cols, DType dtype) {
  kept_.push_back(random_tensor(device_, {rows, cols}, dtype));
  return kept_.back().mutable_matrix();
}

ConstMatrix Operands::read(std::int64_t rows, std::int64_t cols, DType dtype) { return written(rows, cols, dtype); }

Matrix Operands::written(std::int64_t rows, std::int64_t cols, DType dtype) {
  Matrix m = memory(rows, cols, dtype);
  count(bytes_of(m));
  return m;
}

Matrix Operands::updated(std::int64_t rows, std::int64_t cols, DType dtype, std::optional<double> value) {
  Matrix m = memory(rows, cols, dtype);
  if (value) kept_.back().fill(*value);
  count(2 * bytes_of(m));
  return m;
}

const std::int32_t* Operands::indices(std::int64_t rows, std::int64_t cols,
                                      const std::function<std::int64_t(std::int64_t, std::int64_t)>& f) {
  std::vector<std::int32_t> values;
  for (std::int64_t i = 0; i < rows; ++i)
    for (std::int64_t j = 0; j < cols; ++j) values.push_back(static_cast<std::int32_t>(f(i, j)));
  kept_.push_back(Tensor::from(device_, {rows, cols}, values.data()));
  return kept_.back().data<std::int32_t>();
}

const std::int32_t* Operands::places(std::int64_t tokens) {
  return indices(tokens, 2, [](std::int64_t i, std::int64_t j) { return j ? i % 256 : i / 256; });
}

const double* Operands::numbers(std::int64_t count, const std::function<double(std::int64_t)>& f) {
  std::vector<double> values;
  for (std::int64_t i = 0; i < count; ++i) values.push_back(f(i));
  kept_.push_back(Tensor::from(device_, {1, count}, values.data()));
  return kept_.back().data<double>();
}

}  // namespace loragrad::bench
