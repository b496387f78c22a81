#include "ops/attention.h"

#include <algorithm>
#include <string>

#include "engine/error.h"
#include "engine/node.h"
#include "ops/checks.h"

namespace loragrad {
namespace {

struct AttentionNode final : Node {
  AttentionNode(const Tensor& q, const Tensor& k, const Tensor& v, const Tensor& out, const Tensor& logsumexp,
                const RowOffsetsPtr& offsets, const AttentionArgs& args)
      : offsets(offsets), args(args) {
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
    Matrix* targets[] = {&back.dq, &back.dk, &back.dv};
    double* betas[] = {&back.beta_q, &back.beta_k, &back.beta_v};
    bool shared = false;
    for (std::size_t i = 0; i < 3; ++i) {
      if (!sink.needs(i)) continue;
      GradSink::Into into = sink.into(i);
      for (std::size_t j = 0; j < i; ++j) shared = shared || may_overlap(*targets[j], into.matrix);
      *targets[i] = into.matrix;
      *betas[i] = into.beta;
    }
    Device& device = *dy.device();
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

  RowOffsetsPtr offsets;
  AttentionArgs args;
};

void check_offsets(const Tensor& q, const Tensor& k, const RowOffsetsPtr& offsets) {
  if (!offsets || offsets->query.empty() || offsets->key.size() != offsets->query.size())
    throw ShapeError("attention: offsets: expected as many for queries as for keys, at least one, found " +
                     (offsets ? std::to_string(offsets->query.size()) + " and " + std::to_string(offsets->key.size())
                              : std::string("none")));
  auto check = [](const std::string& what, const std::vector<std::int64_t>& ends, const Tensor& t) {
    if (ends.front() != 0 || ends.back() != t.rows() || !std::is_sorted(ends.begin(), ends.end()))
      throw ShapeError("attention: " + what + " offsets: expected an ascending list from 0 to " +
                       std::to_string(t.rows()) + " for " + t.shape().text() + ", found " +
                       std::to_string(ends.front()) + " to " + std::to_string(ends.back()) +
                       (std::is_sorted(ends.begin(), ends.end()) ? "" : ", not ascending"));
  };
  check_indices("attention", "offsets on the device", offsets->on_device, {2, offsets->rows() + 1}, q.shape());
  check_one_device("attention", q.device(), offsets->on_device.device());
  check("query", offsets->query, q);
  check("key", offsets->key, k);
  for (std::size_t i = 0; i + 1 < offsets->query.size(); ++i) {
    std::int64_t queries = offsets->query[i + 1] - offsets->query[i], keys = offsets->key[i + 1] - offsets->key[i];
    if (queries > keys)
      throw ShapeError("attention: row " + std::to_string(i) + ": expected at least as many keys as queries, found " +
                       std::to_string(queries) + " queries, " + std::to_string(keys) + " keys");
  }
}

void check_shapes(const Tensor& q, const Tensor& k, const Tensor& v, const AttentionConfig& config) {
  if (config.n_head <= 0 || config.n_kv_head <= 0 || config.head_dim <= 0 || config.n_head % config.n_kv_head != 0)
    throw ShapeError("attention: " + std::to_string(config.n_head) + " heads of " + std::to_string(config.head_dim) +
                     " cannot share " + std::to_string(config.n_kv_head) + " key/value heads");
  if (config.window < 0)
    throw ShapeError("attention: window: expected 0 or more, found " + std::to_string(config.window));
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

}  // namespace

RowOffsetsPtr make_row_offsets(const DevicePtr& device, std::vector<std::int64_t> query,
                               std::vector<std::int64_t> key) {
  std::vector<std::int32_t> both(query.begin(), query.end());
  both.insert(both.end(), key.begin(), key.end());
  Tensor copy = Tensor::from(device, {2, static_cast<std::int64_t>(query.size())}, std::move(both));
  return std::make_shared<const RowOffsets>(RowOffsets{std::move(query), std::move(key), copy});
}

Tensor attention(const Tensor& q, const Tensor& k, const Tensor& v, const RowOffsetsPtr& offsets,
                 const AttentionConfig& config) {
  check_shapes(q, k, v, config);
  check_offsets(q, k, offsets);
  const DevicePtr& device = q.device();
  bool record = needs_grad({&q, &k, &v});
  Tensor out = Tensor::empty(device, q.shape(), q.dtype()), logsumexp;
  AttentionArgs args{.q = q.matrix(), .k = k.matrix(), .v = v.matrix(), .out = out.mutable_matrix()};
  if (record) {
    logsumexp = Tensor::empty(device, {q.rows(), config.n_head}, accumulation_type(q.dtype()));
    args.logsumexp = logsumexp.mutable_matrix().data;
  }
  args.rows = offsets->rows();
  args.query_offsets = offsets->query.data(), args.key_offsets = offsets->key.data();
  args.device_offsets = offsets->on_device.data<std::int32_t>();
  args.n_head = config.n_head, args.n_kv_head = config.n_kv_head, args.head_dim = config.head_dim;
  args.window = config.window, args.scale = config.scale;
  device->kernels().attention(*device, args);
  return record ? attach(out, std::make_shared<AttentionNode>(q, k, v, out, logsumexp, offsets, args)) : out;
}

}  // namespace loragrad
