#include "lora/initial_factors.h"

#include <algorithm>
#include <cmath>
#include <string>

#include "engine/error.h"
#include "engine/random.h"
#include "lora/merge/svd.h"

namespace loragrad {
namespace {

/// A module's own stream of numbers.
Random stream_of(const ModuleSpec& spec, const InitialDraw& draw) {
  const std::string& name = spec.map.name;
  return {draw.seed, hash_name(name.data(), name.size())};
}

Tensor placed(const InitialDraw& draw, Shape shape, std::vector<float> values) {
  Tensor t = Tensor::from(draw.device, shape, std::move(values));
  return draw.dtype == DType::f32 ? t : t.to(draw.dtype);
}

/// f(row, column) of each element.
template <class F>
Tensor filled(const InitialDraw& draw, Shape shape, F f) {
  std::vector<float> values(static_cast<std::size_t>(shape.numel()));
  for (std::int64_t i = 0; i < shape.numel(); ++i)
    values[static_cast<std::size_t>(i)] = static_cast<float>(f(i / shape.cols, i % shape.cols));
  return placed(draw, shape, std::move(values));
}

InitialFactors drawn(const ModuleSpec& spec, const InitialDraw& draw, bool gaussian) {
  Random random = stream_of(spec, draw);
  double bound = 1 / std::sqrt(static_cast<double>(spec.map.in)), deviation = 1 / static_cast<double>(spec.rank);
  auto value = [&](std::int64_t, std::int64_t) {
    return gaussian ? deviation * random.normal() : bound * (2 * random.uniform() - 1);
  };
  return {filled(draw, {spec.rank, spec.map.in}, value),
          Tensor::zeros(draw.device, {spec.map.out, spec.rank}, draw.dtype)};
}

HostMatrix normal(Random& random, std::int64_t rows, std::int64_t cols) {
  HostMatrix m{rows, cols, std::vector<double>(static_cast<std::size_t>(rows * cols))};
  for (double& value : m.values) value = random.normal();
  return m;
}

InitialFactors orthogonal(const ModuleSpec& spec, const InitialDraw& draw) {
  std::int64_t r = spec.rank, half = r / 2;
  if (r % 2 != 0)
    throw UsageError(spec.map.name + ": r: expected an even rank for orthogonal initial values, found " +
                     std::to_string(r));
  Random random = stream_of(spec, draw);
  HostMatrix q = qr(normal(random, r, r)).q;
  HostMatrix down = normal(random, spec.map.in, half), up = normal(random, spec.map.out, half);
  // Row `row` of m times the rows of Q of one parity.
  auto product = [&](const HostMatrix& m, std::int64_t row, std::int64_t col, std::int64_t parity) {
    double sum = 0;
    for (std::int64_t k = 0; k < half; ++k) sum += m.at(row, k) * q.at(2 * k + parity, col);
    return sum / 10;
  };
  return {filled(draw, {r, spec.map.in}, [&](auto i, auto j) { return product(down, j, i, 0); }),
          filled(draw, {spec.map.out, r}, [&](auto i, auto j) { return product(up, i, j, 1); })};
}

/// The weight as [out, in], in f64.
Tensor as_out_in(const Weight& w) {
  Tensor stored = w.to_tensor(DType::f64);
  if (w.layout() == WeightLayout::out_in) return stored;
  HostMatrix turned = transposed({stored.rows(), stored.cols(), stored.values<double>()});
  return Tensor::from(w.device(), {turned.rows, turned.cols}, std::move(turned.values));
}

InitialFactors taken_from_base(const ModuleSpec& spec, const InitialDraw& draw) {
  const Weight& w = spec.weight();
  bool pissa = spec.config.init_lora_weights == LoraInit::pissa;
  std::int64_t r = spec.rank, most = std::min(spec.map.in, spec.map.out);
  std::string start = " for initial values by " + std::string(name_of(spec.config.init_lora_weights));
  if (r > most)
    throw UsageError(spec.map.name + ": r: expected at most " + std::to_string(most) + start + ", found " +
                     std::to_string(r));
  if (pissa && !(spec.scale > 0)) throw UsageError(spec.map.name + ": lora_alpha: expected a positive number" + start);
  InitialFactors result;
  if (w.device()->is_meta()) {  // an outline
    result.a = Tensor::zeros(draw.device, {r, spec.map.in}, draw.dtype);
    result.b = Tensor::zeros(draw.device, {spec.map.out, r}, draw.dtype);
  } else if (pissa) {
    Svd svd = leading_svd(as_out_in(w), r);
    auto root = [&](std::int64_t k) { return std::sqrt(svd.s[static_cast<std::size_t>(k)] / spec.scale); };
    result.a = filled(draw, {r, spec.map.in}, [&](auto i, auto j) { return root(i) * svd.v.at(j, i); });
    result.b = filled(draw, {spec.map.out, r}, [&](auto i, auto j) { return svd.u.at(i, j) * root(j); });
  } else {
    Tensor x = as_out_in(w);
    Qr factors = qr({x.rows(), x.cols(), x.values<double>()});
    result.a = filled(draw, {r, spec.map.in}, [&](auto i, auto j) { return factors.r.at(i, j); });
    result.b = filled(draw, {spec.map.out, r}, [&](auto i, auto j) { return factors.q.at(i, j); });
  }
  result.a0 = result.a.to(result.a.dtype());
  result.b0 = result.b.to(result.b.dtype());
  return result;
}

}  // namespace

InitialFactors embedding_factors(const ModuleSpec& spec, const InitialDraw& draw) {
  Random random = stream_of(spec, draw);
  return {Tensor::zeros(draw.device, {spec.rank, spec.map.in}, draw.dtype),
          filled(draw, {spec.map.out, spec.rank}, [&](auto, auto) { return random.normal(); })};
}

InitialFactors initial_factors(const ModuleSpec& spec, const InitialDraw& draw) {
  LoraInit init = spec.config.init_lora_weights;
  if (changes_base(init)) return taken_from_base(spec, draw);
  return init == LoraInit::orthogonal ? orthogonal(spec, draw) : drawn(spec, draw, init == LoraInit::gaussian);
}

}  // namespace loragrad
