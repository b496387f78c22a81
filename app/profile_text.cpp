#include "app/profile_text.h"

#include <fmt/format.h>

#include <algorithm>

#include "app/terminal/console.h"
#include "train/progress.h"

namespace loragrad {
namespace {

constexpr std::size_t most_products = 10;

/// A number, or "-" where there is nothing.
std::string shown(double value, int digits) { return value == 0 ? "-" : fmt::format("{:.{}f}", value, digits); }
std::string share(double part, double whole) { return whole > 0 ? fmt::format("{:.1f}%", 100 * part / whole) : "-"; }
std::string milliseconds(double seconds) { return shown(1000 * seconds, 2); }

/// What stands where at the peak; the names are the report's.
std::vector<std::pair<const char*, std::size_t>> peak_parts(const Forecast& f) {
  std::vector<std::pair<const char*, std::size_t>> parts{
      {"trained", f.trained},
      {"optimiser", f.optimiser},
      {"gradients", f.profile.peak_gradients},
      {"kept for backward", f.profile.peak_kept},
      {"scratch", f.profile.peak_scratch},
      {"gaps and evaluation", f.activations - f.profile.peak()},
      {f.own_memory ? "workspace" : "process", f.own_memory ? f.workspace : f.process}};
  if (!f.weights_are_released) parts.insert(parts.begin(), {"weights", f.weights});
  return parts;
}

std::size_t sum_of(const std::vector<std::pair<const char*, std::size_t>>& parts) {
  std::size_t sum = 0;
  for (const auto& [name, bytes] : parts) sum += bytes;
  return sum;
}

/// As the products are written in mathematics: rows of tokens times a weight, or a sum over tokens.
std::string form_of(const TimeProfile::Product& p) {
  return fmt::format("{} {}", p.transpose_a ? "aᵀ" : "a", p.transpose_b ? "bᵀ" : "b");
}
std::string types_of(const TimeProfile::Product& p) {
  return p.a == p.b ? std::string(name_of(p.a)) : fmt::format("{}, {}", name_of(p.a), name_of(p.b));
}

Table kernels_table(const TimeProfile::Report& r) {
  Table table{{"ms of a step", "calls", "forward", "backward", "update", "total", "share"}};
  auto line = [&](const std::string& name, double calls, const std::array<double, TimeProfile::phases>& s,
                  double total) {
    table.push_back({name, shown(calls, 0), milliseconds(s[0]), milliseconds(s[1]), milliseconds(s[2]),
                     milliseconds(total), share(total, r.seconds)});
  };
  std::array<double, TimeProfile::phases> outside{};
  double rest = r.seconds;
  for (const TimeProfile::Kernel& kernel : r.kernels) {
    line(kernel.name, kernel.calls, kernel.seconds, kernel.total());
    rest -= kernel.total();
  }
  for (std::size_t p = 0; p < outside.size(); ++p) outside[p] = r.outside(p);
  line("outside kernels", 0, outside, rest);
  line("step", 0, r.in_phase, r.seconds);
  return table;
}

Table products_table(const TimeProfile::Report& r) {
  Table table{{"product", "type", "m", "n", "k", "calls", "ms", "share", "GFLOP/s"}};
  for (std::size_t i = 0; i < std::min(r.products.size(), most_products); ++i) {
    const TimeProfile::Product& p = r.products[i];
    auto tokens = [&](double n, bool varies) { return fmt::format("{}{:.0f}", varies && p.ragged ? "~" : "", n); };
    table.push_back({form_of(p), types_of(p), tokens(p.m, !p.transpose_a), tokens(p.n, false),
                     tokens(p.k, p.transpose_a), shown(p.calls, 0), milliseconds(p.seconds),
                     share(p.seconds, r.seconds), shown(p.seconds > 0 ? p.flops / p.seconds / 1e9 : 0, 1)});
  }
  return table;
}

}  // namespace

std::string memory_profile_text(const Forecast& f) {
  const MemoryProfile& p = f.profile;
  auto kept = static_cast<double>(p.kept());
  auto per_token = static_cast<double>(p.tokens * p.layers);
  Table table{{"kept for backward", "nodes", "bytes", "share", "bytes/token/layer"}};
  auto line = [&](const std::string& name, std::int64_t nodes, std::size_t bytes) {
    auto b = static_cast<double>(bytes);
    table.push_back({name, nodes > 0 ? grouped(nodes) : "", bytes > 0 ? bytes_text(bytes) : "-",
                     bytes > 0 ? share(b, kept) : "", bytes > 0 ? fmt::format("{:.0f}", b / per_token) : ""});
  };
  for (const MemoryProfile::Op& op : p.ops) line(op.name, op.nodes, op.bytes);
  line("batch and recipes", 0, p.other);
  line("total", 0, p.kept());
  std::string text = fmt::format("memory of the largest batch that can come, {} rows of {} tokens\n{}\n", p.rows,
                                 grouped(p.tokens), table_text(table));

  auto parts = peak_parts(f);
  Table peak{{"at the peak", "bytes", "share"}};
  std::size_t total = sum_of(parts);
  parts.emplace_back("total", total);
  for (const auto& [name, bytes] : parts)
    peak.push_back(
        {name, bytes > 0 ? bytes_text(bytes) : "-", share(static_cast<double>(bytes), static_cast<double>(total))});
  text += table_text(peak) + fmt::format("The peak is in {}.", p.peak_in);
  if (f.total() > total)
    text += fmt::format(" Loading takes more, {}: the model's files and the trained copy.", bytes_text(f.total()));
  return text;
}

Json memory_profile_json(const Forecast& f) {
  Json::Array ops;
  for (const MemoryProfile::Op& op : f.profile.ops)
    ops.push_back(Json::Object{{"op", op.name}, {"nodes", op.nodes}, {"bytes", op.bytes}});
  Json::Object peak;
  for (const auto& [name, bytes] : peak_parts(f)) {
    std::string key = name;
    std::replace(key.begin(), key.end(), ' ', '_');
    peak.emplace_back(key, bytes);
  }
  return Json::Object{{"rows", f.profile.rows},       {"tokens", f.profile.tokens},
                      {"layers", f.profile.layers},   {"kept_for_backward", std::move(ops)},
                      {"other", f.profile.other},     {"kept_bytes", f.profile.kept()},
                      {"peak_in", f.profile.peak_in}, {"peak", std::move(peak)}};
}

std::string time_profile_text(const TimeProfile::Report& r) {
  std::string steps = r.steps == 0   ? "no step had a loss"
                      : r.steps == 1 ? fmt::format("step {}", r.last_step)
                      : r.last_step - r.first_step + 1 == r.steps
                          ? fmt::format("the mean of steps {} to {}", r.first_step, r.last_step)
                          : fmt::format("the mean of {} of the steps {} to {}, the others had no loss", r.steps,
                                        r.first_step, r.last_step);
  std::string text =
      fmt::format("time of a step: {} ms ({})\n{}\n", milliseconds(r.seconds), steps, table_text(kernels_table(r)));
  text += fmt::format("the {} most expensive of {} products, op(a) [m, k] op(b) [k, n]\n",
                      std::min(r.products.size(), most_products), r.products.size());
  text += table_text(products_table(r));
  text.pop_back();
  return text;
}

Json time_profile_json(const TimeProfile::Report& r) {
  auto phases = [](const auto& value) {
    return Json::Object{{"forward", value(0)}, {"backward", value(1)}, {"update", value(2)}};
  };
  Json::Array kernels, products;
  for (const TimeProfile::Kernel& k : r.kernels)
    kernels.push_back(Json::Object{
        {"kernel", k.name}, {"calls", k.calls}, {"seconds", phases([&](std::size_t p) { return k.seconds[p]; })}});
  for (const TimeProfile::Product& p : r.products)
    products.push_back(Json::Object{{"m", p.m},
                                    {"n", p.n},
                                    {"k", p.k},
                                    {"transpose_a", p.transpose_a},
                                    {"transpose_b", p.transpose_b},
                                    {"a", name_of(p.a)},
                                    {"b", name_of(p.b)},
                                    {"calls", p.calls},
                                    {"seconds", p.seconds},
                                    {"flops", p.flops}});
  return Json::Object{{"first_step", r.first_step},
                      {"last_step", r.last_step},
                      {"steps", r.steps},
                      {"seconds", r.seconds},
                      {"phases", phases([&](std::size_t p) { return r.in_phase[p]; })},
                      {"kernels", std::move(kernels)},
                      {"products", std::move(products)}};
}

}  // namespace loragrad
