#pragma once
#include "models/linear_layer.h"
#include "ops/embedding.h"
#include "ops/linear.h"
#include "ops/norm.h"

namespace loragrad {

// The ops on a parameter that is frozen or trained: one branch here, so that the families need none.

inline bool is_empty(const Parameter& p) {
  return std::holds_alternative<Weight>(p) ? std::get<Weight>(p).empty() : !std::get<Tensor>(p).defined();
}
inline Shape shape_of(const Parameter& p) {
  return std::visit([](const auto& value) { return value.shape(); }, p);
}
inline DType dtype_of_parameter(const Parameter& p) {
  return std::visit([](const auto& value) { return value.dtype(); }, p);
}
inline ConstMatrix matrix_of(const Parameter& p) {
  return std::visit([](const auto& value) { return value.matrix(); }, p);
}

inline Tensor embedding(const Tensor& ids, const Parameter& table, DType dtype) {
  return std::visit([&](const auto& t) { return embedding(ids, t, dtype); }, table);
}
inline Tensor rms_norm(const Tensor& x, const Parameter& w, double eps, DType dtype) {
  return std::visit([&](const auto& weight) { return rms_norm(x, weight, eps, dtype); }, w);
}

/// A LayerNorm's two vectors.
struct LayerNorm {
  Parameter weight, bias;
  double eps = 1e-5;
  Tensor operator()(const Tensor& x, DType dtype) const {
    if (auto* w = std::get_if<Tensor>(&weight)) return layer_norm(x, *w, std::get<Tensor>(bias), eps, dtype);
    return layer_norm(x, std::get<Weight>(weight), std::get<Weight>(bias), eps, dtype);
  }
};

}  // namespace loragrad
