#pragma once
#include <algorithm>
#include <initializer_list>

#include "ops/cuda/values.h"

/// Matrices as kernels read and write them: in units, a few consecutive elements of one row, in accesses of 16 bytes
/// where a matrix allows it and element by element where not.
namespace loragrad::cuda {

/// An element type that only a matrix's dtype says, for combinations too rare for kernels of their own.
struct Any {};
/// The type of an element in registers, and the one to compute in with such elements: double if one is, else float.
template <class X>
using Held = std::conditional_t<std::is_same_v<X, Any>, double, X>;
template <class... X>
using Computing = std::conditional_t<(... || std::is_same_v<Held<X>, double>), double, float>;
/// Elements of a unit with which the widest of the operands is accessed 16 bytes at a time.
template <class... X>
constexpr int unit_of = 16 / static_cast<int>(std::max({sizeof(Held<X>)...}));

/// A unit in registers. Elements of 16 bits stay two in a word, as they were loaded: to take them apart, a thread would
/// wait for them before its next load.
template <class X, int n>
class alignas(std::min<std::size_t>(16, n * sizeof(X))) Unit {
 public:
  template <class C>
  __device__ C get(int i) const {
    return as<C>(values_[i]);
  }
  __device__ void put(int i, X value) { values_[i] = value; }
  template <class C>
  __device__ void round(const C (&values)[n]) {
#pragma unroll
    for (int i = 0; i < n; ++i) values_[i] = rounded<X>(values[i]);
  }

 private:
  X values_[n] = {};
};
template <class X, int n>
requires(sizeof(X) == 2) class alignas(2 * n) Unit<X, n> {
 public:
  template <class C>
  __device__ C get(int i) const {
    std::uint32_t word = words_[i / 2];
    if constexpr (std::is_same_v<X, bf16>)
      return static_cast<C>(__uint_as_float(i % 2 ? word & 0xffff0000u : word << 16));
    X value;
    value.bits = static_cast<std::uint16_t>(i % 2 ? word >> 16 : word);
    return as<C>(value);
  }
  __device__ void put(int i, X value) {
    int shift = i % 2 * 16;
    words_[i / 2] = (words_[i / 2] & 0xffff0000u >> shift) | std::uint32_t{value.bits} << shift;
  }
  template <class C>
  __device__ void round(const C (&values)[n]) {
#pragma unroll
    for (int i = 0; i < n; i += 2)
      words_[i / 2] = pack_bf16(static_cast<float>(values[i]), static_cast<float>(values[i + 1]));
  }

 private:
  static_assert(n % 2 == 0);
  std::uint32_t words_[n / 2] = {};
};

/// Where a unit begins: one that is whole and aligned for a single access, or the first `count` elements of one.
struct WholeUnit {
  std::int64_t row, col;
};
struct PartUnit {
  std::int64_t row, col;
  int count;
};
/// Elements that are there, of a unit of n.
__device__ inline int count(const WholeUnit&, int n) { return n; }
__device__ inline int count(const PartUnit& at, int) { return at.count; }

/// A matrix in device memory that a kernel reads, or, made from a Matrix, writes.
template <class X>
class Operand {
 public:
  __host__ __device__ explicit Operand(const ConstMatrix& m)
      : data_(static_cast<X*>(const_cast<void*>(m.data))), stride_(m.stride) {}
  __device__ explicit operator bool() const { return data_ != nullptr; }

  template <int n>
  __device__ Unit<X, n> load(const WholeUnit& at) const {
    return *reinterpret_cast<const Unit<X, n>*>(address(at));
  }
  /// Elements beyond the part are zero.
  template <int n>
  __device__ Unit<X, n> load(const PartUnit& at) const {
    Unit<X, n> unit;
#pragma unroll
    for (int i = 0; i < n; ++i)
      if (i < at.count) unit.put(i, address(at)[i]);
    return unit;
  }
  template <class C, int n>
  __device__ void store(const WholeUnit& at, const C (&values)[n]) const {
    Unit<X, n> unit;
    unit.round(values);
    *reinterpret_cast<Unit<X, n>*>(address(at)) = unit;
  }
  template <class C, int n>
  __device__ void store(const PartUnit& at, const C (&values)[n]) const {
#pragma unroll
    for (int i = 0; i < n; ++i)
      if (i < at.count) address(at)[i] = rounded<X>(values[i]);
  }

 private:
  template <class At>
  __device__ X* address(const At& at) const {
    return data_ + at.row * stride_ + at.col;
  }

  X* data_;
  std::int64_t stride_;
};

template <>
class Operand<Any> {
 public:
  __host__ __device__ explicit Operand(const ConstMatrix& m)
      : data_(const_cast<void*>(m.data)), dtype_(m.dtype), stride_(m.stride) {}
  __device__ explicit operator bool() const { return data_ != nullptr; }

  template <int n, class At>
  __device__ Unit<double, n> load(const At& at) const {
    Unit<double, n> unit;
    for (int i = 0; i < count(at, n); ++i) unit.put(i, get(at.row * stride_ + at.col + i));
    return unit;
  }
  template <class C, int n, class At>
  __device__ void store(const At& at, const C (&values)[n]) const {
    for (int i = 0; i < count(at, n); ++i) put(at.row * stride_ + at.col + i, values[i]);
  }

 private:
  template <class X>
  __device__ X& element(std::int64_t i) const {
    return static_cast<X*>(data_)[i];
  }
  __device__ double get(std::int64_t i) const {
    if (dtype_ == DType::f64) return element<double>(i);
    if (dtype_ == DType::f32) return as<double>(element<float>(i));
    return dtype_ == DType::f16 ? as<double>(element<f16>(i)) : as<double>(element<bf16>(i));
  }
  __device__ void put(std::int64_t i, double value) const {
    if (dtype_ == DType::f64)
      element<double>(i) = value;
    else if (dtype_ == DType::f32)
      element<float>(i) = rounded<float>(value);
    else
      element<bf16>(i) = rounded<bf16>(value);
  }

  void* data_;
  DType dtype_;
  std::int64_t stride_;
};

/// values += beta old, in a target's elements.
template <class C, class X, int n>
__device__ inline void add_scaled(C (&values)[n], C beta, const Unit<X, n>& old) {
#pragma unroll
  for (int i = 0; i < n; ++i) values[i] += beta * old.template get<C>(i);
}

/// y = values + beta y. What y has is loaded with the other operands, and not at all where beta is 0.
template <class Y, class C>
struct Target {
  Operand<Y> y;
  C beta;
  template <int n, class At>
  __device__ Unit<Held<Y>, n> load(const At& at) const {
    if (beta == 0) return {};
    return y.template load<n>(at);
  }
  template <class At, int n>
  __device__ void store(const At& at, C (&values)[n], const Unit<Held<Y>, n>& old) const {
    if (beta != 0) add_scaled(values, beta, old);
    y.store(at, values);
  }
};

/// Calls f with the element type that all of the matrices that are there have, or with Any where they differ.
template <class F>
void with_common_type(std::initializer_list<ConstMatrix> matrices, F f) {
  DType dtype = matrices.begin()->dtype;
  if (std::any_of(matrices.begin(), matrices.end(), [&](const ConstMatrix& m) { return m.data && m.dtype != dtype; }))
    return f(Any());
  with_type(dtype, f);
}

/// Whether units of n elements, counted from a row's first, are aligned for one access in all of the matrices.
inline bool all_aligned(std::initializer_list<ConstMatrix> matrices, int n) {
  return std::all_of(matrices.begin(), matrices.end(), [n](const ConstMatrix& m) {
    auto size = static_cast<std::int64_t>(size_of(m.dtype)), access = std::min<std::int64_t>(16, n * size);
    return reinterpret_cast<std::intptr_t>(m.data) % access == 0 && (m.rows <= 1 || m.stride * size % access == 0);
  });
}

}  // namespace loragrad::cuda
