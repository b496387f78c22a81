#pragma once
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "engine/tensor.h"
#include "ops/dropout.h"

namespace loragrad {

/// Where and in which type an op_case runs, and its source of constants. Every number drawn is exact in bf16, so that a
/// op_case computes with the same numbers in every type.
struct Setting {
  DevicePtr device;
  DType dtype = DType::f64;  ///< of activations
  std::uint64_t seed = 0;

  /// Type of trainable values: f32 for bf16 activations.
  DType leaf_dtype() const { return accumulation_type(dtype); }
  /// An input as an activation: converted on the tape for bf16.
  Tensor compute(const Tensor& x) const;
  /// Normal numbers, equal for equal (seed, stream).
  std::vector<double> normal(std::int64_t count, std::uint64_t stream) const;
  /// A constant of normal numbers as an activation, or as a parameter (leaf_dtype).
  Tensor constant(Shape shape, std::uint64_t stream) const;
  Tensor parameter(Shape shape, std::uint64_t stream) const;
  /// [rows, 1] i32, from 0 to bound - 1 (at random).
  Tensor indices(std::int64_t rows, std::int64_t bound, std::uint64_t stream) const;
  Tensor integers(Shape shape, const std::vector<std::int32_t>& values) const;
};

/// Dropout of a half, of tokens in rows of four.
Dropout half(const Setting& setting, std::int64_t tokens, std::uint64_t key);

/// One way to call an op. `run` gets the differentiable inputs in leaf_dtype and draws everything else from the
/// setting.
struct OpCase {
  std::string name;
  std::vector<Shape> inputs;
  std::function<Tensor(const std::vector<Tensor>&, const Setting&)> run;
  double away_from_zero = 0;                           ///< added to the size of every input: for ops with a kink at 0
  bool finite_differences = true;                      ///< false for cases that are large, for the sake of threads
  double f32_tolerance = 2e-6, bf16_tolerance = 2e-2;  ///< against f64, relative to the largest value, at least 1
};

/// A tensor of `values` rounded to `dtype`.
Tensor make_tensor(const DevicePtr& device, Shape shape, DType dtype, const std::vector<double>& values);
/// Whether two tensors hold the same bytes.
bool same_bits(const Tensor& a, const Tensor& b);
/// The values of an f32, f64 or bf16 tensor as f64.
std::vector<double> read_values(const Tensor& tensor);
/// The op_case's inputs in the setting; those whose bit is set in `mask` are trainable.
std::vector<Tensor> make_inputs(const OpCase& op_case, const Setting& setting, unsigned mask);

}  // namespace loragrad
