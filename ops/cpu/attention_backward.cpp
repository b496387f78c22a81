#include <cmath>

#include "ops/cpu/attention_tiles.h"
#include "ops/cpu/dispatch.h"
#include "ops/cpu/kernels.h"

namespace loragrad::cpu {
namespace {

/// A part of a row and key/value head: its keys' dk and dv if `keys`, its queries' dq if `queries`.
struct Item {
  const RowSpan* span;
  std::int64_t head, first, last;    // query rows, `first` at the beginning of a strip
  std::int64_t first_key, last_key;  // `first_key` at the beginning of a tile
  bool queries, keys;
  double cost;
};

bool wanted(const Matrix& m) { return m.rows > 0; }

std::int64_t round_down(std::int64_t x, std::int64_t step) { return x / step * step; }

/// One item makes all three gradients of a row and head from one computation of p and ds. Where that leaves threads
/// idle, the row is cut by key tiles for dk and dv and by query rows for dq: p and ds are computed twice. Strips and
/// tiles are the same either way, and so is every sum, to the bit.
std::vector<Item> cut(const AttentionBackwardArgs& args, int threads) {
  constexpr int block = 6 * strip_rows;
  const AttentionArgs& f = args.forward;
  bool queries = wanted(args.dq), keys = wanted(args.dk) || wanted(args.dv);
  std::vector<Item> items;
  for (const RowSpan& span : f.rows) {
    AttentionRow row(f, span);
    std::int64_t rows = row.queries * row.group;
    auto add = [&](std::int64_t first, std::int64_t last, std::int64_t first_key, std::int64_t last_key, bool q,
                   bool k) {
      double cost = static_cast<double>(last - first) * static_cast<double>(last_key - first_key);
      for (std::int64_t head = 0; (q || k) && head < f.n_kv_head; ++head)
        items.push_back({&span, head, first, last, first_key, last_key, q, k, cost});
    };
    if (static_cast<std::int64_t>(f.rows.size()) * f.n_kv_head >= threads || row.keys <= key_tile) {
      add(0, rows, 0, row.keys, queries, keys);
      continue;
    }
    for (std::int64_t key = 0; key < row.keys; key += key_tile) {
      std::int64_t token = std::clamp<std::int64_t>(key - row.end_key(0) + 1, 0, row.queries);  // the first to see it
      std::int64_t first = round_down(token * row.group, strip_rows);
      add(first, rows, key, std::min(row.keys, key + key_tile), false, keys);
    }
    for (std::int64_t first = 0; first < rows; first += block) {
      std::int64_t last = std::min(rows, first + block);
      add(first, last, round_down(row.first_key(first / row.group), key_tile), row.end_key((last - 1) / row.group),
          queries, false);
    }
  }
  return items;
}

/// The most query rows of an item.
std::int64_t most_rows(const std::vector<Item>& items) {
  std::int64_t most = 0;
  for (const Item& item : items) most = std::max(most, item.last - item.first);
  return most;
}

template <class X>
struct Slot {
  using T = AttentionSum<X>;
  using U = AttentionUnit<X>;
  Slot(const AttentionArgs& f, bool with_queries, std::int64_t rows, Scratch& scratch) {
    std::int64_t step = padded<T>(f.head_dim);
    constexpr std::int64_t pairs_only = terms<U> == 1 ? 0 : 1;  // a number is its own unit, along and across rows
    delta = scratch.take<T>(rows);
    dq = scratch.take<T>(with_queries ? rows * step : 0);
    q = scratch.take<U>(strip_rows * step);
    dout = scratch.take<U>(strip_rows * step);
    q_rows = scratch.take<U>(pairs_only * strip_rows * step / terms<U>);
    dout_rows = scratch.take<U>(pairs_only * strip_rows * step / terms<U>);
    keys_t = scratch.take<U>(key_tile * units<U>(f.head_dim));
    values_t = scratch.take<U>(key_tile * units<U>(f.head_dim));
    keys = scratch.take<U>(with_queries ? key_tile / terms<U> * step : 0);
    dk = scratch.take<T>(key_tile * step);
    dv = scratch.take<T>(key_tile * step);
    p = scratch.take<T>(strip_rows * key_tile);
    ds = scratch.take<T>(strip_rows * key_tile);
    in_units = scratch.take<U>(pairs_only * strip_rows * key_tile / terms<U>);
  }
  T *delta, *dq, *dk, *dv, *p, *ds;
  U *q, *dout, *q_rows, *dout_rows, *keys_t, *values_t, *keys, *in_units;
};

template <class X>
class Worker {
  using T = AttentionSum<X>;
  using U = AttentionUnit<X>;
  using Aligned = Eigen::Map<Eigen::Array<T, Eigen::Dynamic, 1>, EIGEN_MAX_ALIGN_BYTES>;

 public:
  Worker(const AttentionBackwardArgs& args, const Item& item, const Slot<X>& slot)
      : args_(args),
        f_(args.forward),
        item_(item),
        slot_(slot),
        row_(f_, *item.span),
        scale_(f_),
        dim_(f_.head_dim),
        step_(padded<T>(dim_)),
        rows_(item.last - item.first),
        need_dk_(item.keys && wanted(args.dk)),
        need_dv_(item.keys && wanted(args.dv)) {}

  void run() {
    need_ds_ = item_.queries || need_dk_;
    if (need_ds_) find_delta();
    if (item_.queries) std::fill(slot_.dq, slot_.dq + rows_ * step_, T(0));
    for (std::int64_t tile = item_.first_key; tile < item_.last_key; tile += key_tile)
      run_tile(tile, std::min<std::int64_t>(key_tile, item_.last_key - tile));
    if (!item_.queries) return;
    for (std::int64_t r = 0; r < rows_; ++r) {
      Map<T>(slot_.dq + r * step_, dim_) *= static_cast<T>(f_.scale);
      store(slot_.dq + r * step_, args_.beta_q, args_.dq, token(r), column(r), dim_);
    }
  }

 private:
  std::int64_t token(std::int64_t r) const { return row_.query + (item_.first + r) / row_.group; }
  std::int64_t head(std::int64_t r) const { return item_.head * row_.group + (item_.first + r) % row_.group; }
  std::int64_t column(std::int64_t r) const { return head(r) * dim_; }

  const X* at(const ConstMatrix& m, std::int64_t r) const {
    return reinterpret_cast<const X*>(address(m, token(r), column(r)));
  }

  /// delta = rowsum(do ∘ o), the part of ds that all keys of a query share.
  void find_delta() {
    for (std::int64_t r = 0; r < rows_; ++r) {
      const X *dout = at(args_.dout, r), *out = at(f_.out, r);
      slot_.delta[r] =
          ordered_sum<T>(dim_, [&](std::int64_t d) { return static_cast<T>(dout[d]) * static_cast<T>(out[d]); });
    }
  }

  void run_tile(std::int64_t tile, std::int64_t width) {
    auto* k = reinterpret_cast<const X*>(address(f_.k, row_.key + tile, item_.head * dim_));
    auto* v = reinterpret_cast<const X*>(address(f_.v, row_.key + tile, item_.head * dim_));
    pack_transposed(k, f_.k.stride, width, dim_, slot_.keys_t);
    if (need_ds_) pack_transposed(v, f_.v.stride, width, dim_, slot_.values_t);
    if (item_.queries) pack_panels(k, f_.k.stride, width, dim_, slot_.keys, key_tile / terms<U>);
    if (need_dk_) std::fill(slot_.dk, slot_.dk + width * step_, T(0));
    if (need_dv_) std::fill(slot_.dv, slot_.dv + width * step_, T(0));
    for (std::int64_t begin = 0; begin < rows_; begin += strip_rows) {
      Strip strip = row_.strip(item_.first + begin, item_.last, tile, width);
      if (!strip.empty()) run_strip(strip, begin);
    }
    for (std::int64_t key = 0; key < width; ++key) {
      std::int64_t at = row_.key + tile + key, head = item_.head * dim_;
      if (need_dk_) {
        Map<T>(slot_.dk + key * step_, dim_) *= static_cast<T>(f_.scale);
        store(slot_.dk + key * step_, args_.beta_k, args_.dk, at, head, dim_);
      }
      if (need_dv_) store(slot_.dv + key * step_, args_.beta_v, args_.dv, at, head, dim_);
    }
  }

  void run_strip(const Strip& strip, std::int64_t begin) {
    const U* q_rows = load_strip(strip, begin, f_.q, slot_.q, slot_.q_rows);
    const U* dout_rows = load_strip(strip, begin, args_.dout, slot_.dout, slot_.dout_rows);
    strip_scores(strip, slot_.q, step_, dim_, slot_.keys_t, slot_.p);
    if (need_ds_) strip_scores(strip, slot_.dout, step_, dim_, slot_.values_t, slot_.ds);
    for (int r = 0; r < strip.rows; ++r) {
      Visible<T> visible(strip, r);
      T *p_row = slot_.p + r * key_tile, *ds_row = slot_.ds + r * key_tile;
      Aligned p(p_row + visible.begin, visible.count()), ds(ds_row + visible.begin, visible.count());
      T logsumexp = static_cast<const T*>(f_.logsumexp)[token(begin + r) * f_.n_head + head(begin + r)];
      if (scale_.capped) {
        p = (p * scale_.inner).tanh();
        if (need_ds_) ds = (ds - slot_.delta[begin + r]) * (1 - p.square());
        p = (p * scale_.cap - logsumexp).exp();
        if (need_ds_) ds *= p;
      } else {
        p = (p * scale_.inner - logsumexp).exp();
        if (need_ds_) ds = p * (ds - slot_.delta[begin + r]);
      }
      if (need_ds_) visible.mask(ds_row);
      visible.mask(p_row);
    }
    U* memory = slot_.in_units;
    if (need_dv_)
      strip_scatter(strip, units_of_rows<U>(strip, slot_.p, memory), dout_rows, step_, dim_, slot_.dv, step_);
    if (need_dk_) strip_scatter(strip, units_of_rows<U>(strip, slot_.ds, memory), q_rows, step_, dim_, slot_.dk, step_);
    if (item_.queries)
      strip_gather(strip, units_of_keys<U>(strip, slot_.ds, memory), slot_.keys, dim_, slot_.dq + begin * step_, step_);
  }

  /// A strip's rows of q or dout in units along them, and returned in units of rows; zeros after the last column.
  const U* load_strip(const Strip& strip, std::int64_t begin, const ConstMatrix& m, U* along, U* rows) const {
    for (int r = 0; r < strip.rows; ++r) units_along(at(m, begin + r), dim_, step_, along + r * step_);
    if constexpr (terms<U> == 1) {
      return along;
    } else {
      for (int r = 0; r < strip.rows; r += 2) {
        U* to = rows + r / 2 * step_;
        units_across(at(m, begin + r), r + 1 < strip.rows ? at(m, begin + r + 1) : nullptr, dim_, to);
        std::fill(to + dim_, to + step_, U(0));
      }
      return rows;
    }
  }

  const AttentionBackwardArgs& args_;
  const AttentionArgs& f_;
  const Item& item_;
  const Slot<X>& slot_;
  AttentionRow row_;
  ScoreScale<T> scale_;
  std::int64_t dim_, step_, rows_;
  bool need_dk_, need_dv_, need_ds_ = false;
};

template <class X>
std::size_t slot_bytes(const AttentionBackwardArgs& args, std::int64_t rows) {
  Scratch count(nullptr);
  Slot<X>(args.forward, wanted(args.dq), rows, count);
  return count.used();
}

}  // namespace

std::size_t scratch_bytes(Device& device, const AttentionBackwardArgs& args) {
  std::vector<Item> items = cut(args, threads_of(device).size());
  if (items.empty()) return 0;
  std::int64_t rows = most_rows(items);
  return with_type(args.forward.q.dtype, [&](auto x) { return slot_bytes<decltype(x)>(args, rows); }) *
         static_cast<std::size_t>(threads_of(device).size());
}

void attention_backward(Device& device, const AttentionBackwardArgs& args, void* workspace) {
  std::vector<Item> items = cut(args, threads_of(device).size());
  std::int64_t rows = most_rows(items);
  with_type(args.forward.q.dtype, [&](auto x) {
    using X = decltype(x);
    run_items(device, items, slot_bytes<X>(args, rows), workspace, [&](const Item& item, char* memory) {
      Scratch scratch(memory);
      Slot<X> slot(args.forward, wanted(args.dq), rows, scratch);
      Worker<X>(args, item, slot).run();
    });
  });
}

}  // namespace loragrad::cpu
