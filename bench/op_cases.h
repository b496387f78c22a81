#pragma once
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "engine/tensor.h"

namespace loragrad::bench {

/// The sizes of a published model that decide what its ops cost, and how many tokens they get.
struct OpShape {
  std::string name;
  std::int64_t width = 0, intermediate = 0, heads = 0, kv_heads = 0, vocab = 0;
  bool gated = false;  ///< Llama's kind: RMSNorm, rotary positions, SiLU; else OPT's: LayerNorm, biases, ReLU
  std::int64_t rows = 4, length = 256;  ///< of a step
  std::int64_t head_tokens = 256;       ///< that the head is given: a processor takes so many at once
  std::int64_t head_dim() const { return width / heads; }
  std::int64_t tokens() const { return rows * length; }
};
constexpr std::int64_t op_rank = 16;

/// The memory that a kernel works on, counted as it is made: what it has to read and to write once at least.
class Operands {
 public:
  explicit Operands(const DevicePtr& device) : device_(device) {}
  ConstMatrix read(std::int64_t rows, std::int64_t cols, DType dtype);
  Matrix written(std::int64_t rows, std::int64_t cols, DType dtype);
  /// Read and written; every element is `value` where one is given.
  Matrix updated(std::int64_t rows, std::int64_t cols, DType dtype, std::optional<double> value = {});
  /// Not counted.
  Matrix memory(std::int64_t rows, std::int64_t cols, DType dtype);
  /// f(row, column) in host order; not counted.
  const std::int32_t* indices(std::int64_t rows, std::int64_t cols,
                              const std::function<std::int64_t(std::int64_t, std::int64_t)>& f);
  /// The tokens of a DropoutMask: row and position of each.
  const std::int32_t* places(std::int64_t tokens);
  /// f(i); not counted.
  const double* numbers(std::int64_t count, const std::function<double(std::int64_t)>& f);
  void count(double bytes) { bytes_ += bytes; }
  /// Multiplications and additions, and the type of what is multiplied.
  void multiplies(double flops, DType dtype) { flops_ += flops, multiplied_ = dtype; }

  Device& device() const { return *device_; }
  double bytes() const { return bytes_; }
  double flops() const { return flops_; }
  DType multiplied() const { return multiplied_; }

 private:
  DevicePtr device_;
  std::vector<Tensor> kept_;
  double bytes_ = 0, flops_ = 0;
  DType multiplied_ = DType::f32;
};

/// One kernel at one shape: makes its operands and returns the call, which is valid as long as they are.
struct OpCase {
  std::string name;
  std::function<std::function<void()>(Operands&)> prepare;
};
using OpCases = std::vector<OpCase>;

// The kernels as a model with activations of type `dtype` calls them.
OpCases product_cases(const OpShape& shape, DType dtype);
OpCases attention_cases(const OpShape& shape, DType dtype);
OpCases elementwise_cases(const OpShape& shape, DType dtype);
OpCases token_cases(const OpShape& shape, DType dtype);

}  // namespace loragrad::bench
