#include "ops/attention.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <string>

#include "engine/error.h"
#include "engine/node.h"
#include "ops/checks.h"

namespace loragrad {
namespace {

struct AttentionNode final : Node {
  AttentionNode(const Tensor& q, const Tensor& k, const Tensor& v, const Tensor& out, const Tensor& logsumexp,
                const RowSpansPtr& rows, const AttentionArgs& args)
      : rows(rows), args(args) {
    set_inputs({q, k, v});
    for (const Tensor& kept : {q, k, v, out, logsumexp}) save(kept);
  }
  std::string_view name() const override { return "attention"; }

  void backward(const Tensor& dy, GradSink& sink) override {
    Tensor q = saved(0), k = saved(1), v = saved(2), out = saved(3), logsumexp = saved(4);
    args.q = q.matrix(), args.k = k.matrix(), args.v = v.matrix();
    ConstMatrix o = out.matrix();
    args.out = {const_cast<void*>(o.data), o.dtype, o.rows, o.cols, o.stride};  // read, not written
    args.logsumexp = const_cast<void*>(logsumexp.matrix().data);
    AttentionBackwardArgs back{.forward = args, .dout = dy.matrix(), .dq = {}, .dk = {}, .dv = {}};
    Device& device = *dy.device();
    Matrix* targets[] = {&back.dq, &back.dk, &back.dv};
    double* betas[] = {&back.beta_q, &back.beta_k, &back.beta_v};
    bool shared = false, all_keys = rows->keys() == args.k.rows;
    for (std::size_t i = 0; i < 3; ++i) {
      if (!sink.needs(i)) continue;
      GradSink::Into into = sink.into(i);
      for (std::size_t j = 0; j < i; ++j) shared = shared || may_overlap(*targets[j], into.matrix);
      *targets[i] = into.matrix;
      *betas[i] = into.beta;
      if (i == 0 || all_keys) continue;
      zeroed(device, into.matrix, into.beta);
      *betas[i] = 1;
    }
    if (!shared) return device.kernels().attention_backward(device, back);
    // One tensor, or views of it, plays several parts: their gradients go to one buffer, one after the other.
    for (std::size_t i = 0; i < 3; ++i) {
      AttentionBackwardArgs one = back;
      Matrix* parts[] = {&one.dq, &one.dk, &one.dv};
      for (std::size_t j = 0; j < 3; ++j)
        if (j != i) *parts[j] = {};
      device.kernels().attention_backward(device, one);
    }
  }

  RowSpansPtr rows;
  AttentionArgs args;
};

void check_rows(const Tensor& q, const Tensor& k, const RowSpansPtr& rows) {
  if (!rows) throw ShapeError("attention: rows: expected their spans, found none");
  check_indices("attention", "rows on the device", rows->on_device, {rows->rows(), 5}, q.shape());
  check_one_device("attention", q.device(), rows->on_device.device());
  if (std::int64_t tokens = rows->first_token(rows->rows()); tokens != q.rows())
    throw ShapeError("attention: rows: expected as many queries as q " + q.shape().text() + " has, found " +
                     std::to_string(tokens));
  if (rows->key_end() > k.rows())
    throw ShapeError("attention: rows: expected keys of k " + k.shape().text() + ", found some up to " +
                     std::to_string(rows->key_end()));
}

void check_shapes(const Tensor& q, const Tensor& k, const Tensor& v, const AttentionConfig& config) {
  if (config.n_head <= 0 || config.n_kv_head <= 0 || config.head_dim <= 0 || config.n_head % config.n_kv_head != 0)
    throw ShapeError("attention: " + std::to_string(config.n_head) + " heads of " + std::to_string(config.head_dim) +
                     " cannot share " + std::to_string(config.n_kv_head) + " key/value heads");
  if (config.window < 0)
    throw ShapeError("attention: window: expected 0 or more, found " + std::to_string(config.window));
  if (!(config.soft_cap >= 0 && std::isfinite(config.soft_cap)))
    throw ShapeError("attention: soft_cap: expected 0 or more, found " + std::to_string(config.soft_cap));
  auto check_heads = [&](const char* name, const Tensor& t, std::int64_t heads) {
    check_real("attention", name, t.dtype());
    if (t.dtype() != q.dtype())
      throw ShapeError(std::string("attention: q is ") + std::string(name_of(q.dtype())) + ", " + name + " is " +
                       std::string(name_of(t.dtype())));
    check_one_device("attention", q.device(), t.device());
    if (t.cols() != heads * config.head_dim)
      throw ShapeError(std::string("attention: ") + name + " " + t.shape().text() + " is not made of " +
                       std::to_string(heads) + " heads of " + std::to_string(config.head_dim));
  };
  check_heads("q", q, config.n_head);
  check_heads("k", k, config.n_kv_head);
  check_heads("v", v, config.n_kv_head);
  check_equal_shapes("attention", "k", k.shape(), "v", v.shape());
}

void check_own_keys(const std::vector<RowSpan>& rows) {
  std::vector<const RowSpan*> order;
  for (const RowSpan& row : rows)
    if (row.keys > 0) order.push_back(&row);
  std::sort(order.begin(), order.end(), [](auto* a, auto* b) { return a->key < b->key; });
  for (std::size_t i = 1; i < order.size(); ++i) {
    const auto [first, second] = std::minmax(order[i - 1], order[i]);
    if (order[i - 1]->key + order[i - 1]->keys > order[i]->key)
      throw ShapeError("rows: expected keys of their own, found rows " + std::to_string(first - rows.data()) + " and " +
                       std::to_string(second - rows.data()) + " with some in common");
  }
}

}  // namespace

std::int64_t RowSpans::first_token(std::int64_t row) const {
  if (row < rows()) return spans[static_cast<std::size_t>(row)].query;
  return spans.empty() ? 0 : spans.back().query + spans.back().queries;
}

std::int64_t RowSpans::keys() const { return spans.empty() ? 0 : spans.back().keys_before + spans.back().keys; }

std::int64_t RowSpans::key_end() const {
  std::int64_t end = 0;
  for (const RowSpan& row : spans) end = std::max<std::int64_t>(end, row.key + row.keys);
  return end;
}

RowSpansPtr make_row_spans(const DevicePtr& device, std::vector<RowSpan> spans) {
  std::int32_t query = 0, keys = 0;
  for (std::size_t i = 0; i < spans.size(); ++i) {
    RowSpan& row = spans[i];
    auto fail = [i](const std::string& text) { throw ShapeError("rows: row " + std::to_string(i) + ": " + text); };
    if (row.query != query)
      fail("expected queries from " + std::to_string(query) + " on, found them from " + std::to_string(row.query));
    if (row.queries < 0 || row.queries > row.keys)
      fail("expected at least as many keys as queries, found " + std::to_string(row.queries) + " queries, " +
           std::to_string(row.keys) + " keys");
    if (row.key < 0) fail("expected keys from 0 or later on, found them from " + std::to_string(row.key));
    row.keys_before = keys;
    query += row.queries;
    keys += row.keys;
  }
  check_own_keys(spans);
  static_assert(sizeof(RowSpan) == 5 * sizeof(std::int32_t));
  std::vector<std::int32_t> numbers(5 * spans.size());
  if (!spans.empty()) std::memcpy(numbers.data(), spans.data(), spans.size() * sizeof(RowSpan));
  Tensor copy = Tensor::from(device, {static_cast<std::int64_t>(spans.size()), 5}, std::move(numbers));
  return std::make_shared<const RowSpans>(RowSpans{std::move(spans), copy});
}

Tensor attention(const Tensor& q, const Tensor& k, const Tensor& v, const RowSpansPtr& rows,
                 const AttentionConfig& config) {
  check_shapes(q, k, v, config);
  check_rows(q, k, rows);
  const DevicePtr& device = q.device();
  bool record = needs_grad({&q, &k, &v});
  Tensor out = Tensor::empty(device, q.shape(), q.dtype()), logsumexp;
  if (record) logsumexp = Tensor::empty(device, {q.rows(), config.n_head}, accumulation_type(q.dtype()));
  AttentionArgs args{.q = q.matrix(),
                     .k = k.matrix(),
                     .v = v.matrix(),
                     .out = out.mutable_matrix(),
                     .logsumexp = record ? logsumexp.mutable_matrix().data : nullptr,
                     .rows = rows->spans,
                     .device_rows = reinterpret_cast<const RowSpan*>(rows->on_device.data<std::int32_t>()),
                     .n_head = config.n_head,
                     .n_kv_head = config.n_kv_head,
                     .head_dim = config.head_dim,
                     .window = config.window,
                     .scale = config.scale,
                     .soft_cap = config.soft_cap};
  device->kernels().attention(*device, args);
  return record ? attach(out, std::make_shared<AttentionNode>(q, k, v, out, logsumexp, rows, args)) : out;
}

}  // namespace loragrad
