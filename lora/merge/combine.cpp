#include "lora/merge/combine.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "engine/error.h"
#include "lora/merge/merge_values.h"
#include "lora/merge/plain_factors.h"
#include "lora/merge/svd.h"
#include "lora/replaced_parts.h"

namespace loragrad {
namespace {

/// One adapter's part in a module.
struct Part {
  const LoraModule* module = nullptr;
  double weight = 1;  // w s
  std::uint64_t adapter = 0;
};

/// Σ w s B A as the product of its two sides: B side by side, and w s A one below the other.
struct Sides {
  HostMatrix b, a;
};

Sides stacked(const std::vector<Part>& parts) {
  std::int64_t rank = 0;
  for (const Part& part : parts) rank += part.module->a.rows();
  const LoraModule& first = *parts.front().module;
  Sides sides{{first.b.rows(), rank, std::vector<double>(static_cast<std::size_t>(first.b.rows() * rank))},
              {rank, first.a.cols(), {}}};
  std::int64_t begin = 0;
  for (const Part& part : parts) {
    HostMatrix a = on_host(part.module->a), b = on_host(part.module->b);
    for (double value : a.values) sides.a.values.push_back(part.weight * value);
    for (std::int64_t i = 0; i < b.rows; ++i)
      for (std::int64_t k = 0; k < b.cols; ++k) sides.b.at(i, begin + k) = b.at(i, k);
    begin += b.cols;
  }
  return sides;
}

/// The nearest of a rank, by an SVD of the product of the triangles of both sides: never of an out x in matrix.
Sides nearest(const Sides& sum, std::int64_t rank, Combination& report) {
  Qr left = qr(sum.b), right = qr(transposed(sum.a));
  // The first columns of x y, or of x yᵀ.
  auto times = [](const HostMatrix& x, const HostMatrix& y, bool transpose_y, std::int64_t cols) {
    HostMatrix out{x.rows, cols, {}};
    out.values.resize(static_cast<std::size_t>(out.rows * out.cols));
    for (std::int64_t i = 0; i < out.rows; ++i)
      for (std::int64_t k = 0; k < x.cols; ++k)
        for (std::int64_t j = 0; j < out.cols; ++j)
          out.at(i, j) += x.at(i, k) * (transpose_y ? y.at(j, k) : y.at(k, j));
    return out;
  };
  Svd core = svd(times(left.r, right.r, true, right.r.rows));
  auto kept = std::min(static_cast<std::size_t>(rank), core.s.size());
  for (std::size_t i = 0; i < core.s.size(); ++i) {
    report.norm += core.s[i] * core.s[i];
    if (i >= kept) report.error += core.s[i] * core.s[i];
  }
  auto width = static_cast<std::int64_t>(kept);
  HostMatrix u = times(left.q, core.u, false, width), v = times(right.q, core.v, false, width);
  Sides out{{u.rows, width, {}}, transposed(v)};
  for (std::int64_t i = 0; i < u.rows; ++i)
    for (std::int64_t k = 0; k < width; ++k) out.b.values.push_back(u.at(i, k) * core.s[static_cast<std::size_t>(k)]);
  return out;
}

/// A's and B's values each merged by themselves.
Sides merged(const std::vector<Part>& parts, const CombineOptions& options) {
  std::vector<WeightedValues> a, b;
  const LoraModule& first = *parts.front().module;
  for (const Part& part : parts) {
    const LoraModule& module = *part.module;
    if (module.a.rows() != first.a.rows())
      throw InputError(fmt::format("combine: {}: expected adapters of one rank, found {} and {} (cat and svd take any)",
                                   module.name, first.a.rows(), module.a.rows()));
    double root = std::sqrt(std::fabs(part.weight));
    a.push_back({on_host(module.a).values, part.weight < 0 ? -root : root});
    b.push_back({on_host(module.b).values, root});
    prune_values(options, module.name + ".A", part.adapter, a.back().values);
    prune_values(options, module.name + ".B", part.adapter, b.back().values);
  }
  return {{first.b.rows(), first.b.cols(), merged_values(options.method, b)},
          {first.a.rows(), first.a.cols(), merged_values(options.method, a)}};
}

/// Of all adapters, by module, in the order in which modules come first.
std::vector<std::vector<Part>> parts_of(const std::vector<WeightedAdapter>& adapters) {
  std::vector<std::vector<Part>> modules;
  for (std::size_t i = 0; i < adapters.size(); ++i) {
    require_plain(adapters[i].adapter, "combine");
    for (const LoraModule& module : adapters[i].adapter.modules) {
      auto found = std::find_if(modules.begin(), modules.end(),
                                [&](const auto& parts) { return parts.front().module->name == module.name; });
      if (found == modules.end()) found = modules.emplace(modules.end());
      found->push_back({&module, adapters[i].weight * module.scale, i});
      const LoraModule& first = *found->front().module;
      if (first.variant != module.variant)
        throw InputError("combine: " + module.name +
                         ": expected adapters of one base, found an embedding's and a linear map's");
      if (first.a.cols() != module.a.cols() || first.b.rows() != module.b.rows())
        throw InputError(
            fmt::format("combine: {}: expected adapters of one base, found maps of {} to {} and of {} to {}",
                        module.name, first.a.cols(), first.b.rows(), module.a.cols(), module.b.rows()));
    }
  }
  return modules;
}

/// What all select together: by the same rule where they have one, by the ends of names where all have those.
TargetModules targets_of(const std::vector<WeightedAdapter>& adapters) {
  auto of = [](const WeightedAdapter& a) -> const TargetModules& { return a.adapter.config.target_modules; };
  TargetModules result;
  bool one = true, names = true;
  for (const WeightedAdapter& a : adapters) {
    one = one && of(a).text() == of(adapters.front()).text() && of(a).kind == of(adapters.front()).kind;
    names = names && of(a).kind == TargetModules::Kind::names;
  }
  if (one) return of(adapters.front());
  for (const WeightedAdapter& a : adapters) {
    std::vector<std::string> added = of(a).names;
    if (!names) {
      added.clear();
      for (const LoraModule& module : a.adapter.modules) added.push_back(module.name);
    }
    for (const std::string& name : added)
      if (!std::count(result.names.begin(), result.names.end(), name)) result.names.push_back(name);
  }
  return result;
}

}  // namespace

Combination combine(const std::vector<WeightedAdapter>& adapters, const CombineOptions& options) {
  options.check();
  if (adapters.empty()) throw UsageError("combine: expected adapters, found none");
  std::vector<std::vector<Part>> modules = parts_of(adapters);
  auto ranks = [](const std::vector<Part>& parts, auto join) {
    std::int64_t rank = 0;
    for (const Part& part : parts) rank = join(rank, part.module->a.rows());
    return rank;
  };
  std::int64_t rank = 0;
  for (const auto& parts : modules)
    rank = std::max(rank, options.method == CombineMethod::cat
                              ? ranks(parts, [](auto x, auto y) { return x + y; })
                              : ranks(parts, [](auto x, auto y) { return std::max(x, y); }));
  rank = options.rank.value_or(rank);

  Combination result;
  LoraConfig& config = result.adapter.config;
  config.r = rank;
  config.lora_alpha = static_cast<double>(rank);
  config.lora_dropout = adapters.front().adapter.config.lora_dropout;
  config.target_modules = targets_of(adapters);
  result.adapter.base_model = adapters.front().adapter.base_model;
  for (const auto& parts : modules) {
    const LoraModule& first = *parts.front().module;
    Sides sides = options.method == CombineMethod::cat   ? stacked(parts)
                  : options.method == CombineMethod::svd ? nearest(stacked(parts), rank, result)
                                                         : merged(parts, options);
    result.adapter.modules.push_back({.name = first.name,
                                      .a = padded(first.a.device(), sides.a, {rank, first.a.cols()}),
                                      .b = padded(first.b.device(), sides.b, {first.b.rows(), rank}),
                                      .layout = first.layout,
                                      .variant = first.variant});
  }
  take_replaced_parts(adapters, result.adapter);
  result.norm = std::sqrt(result.norm);
  result.error = std::sqrt(result.error);
  return result;
}

}  // namespace loragrad
