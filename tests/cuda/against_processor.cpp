// Each kernel beside the processor's, on operands of random types, shapes, gaps and alignments.
#include <doctest/doctest.h>

#include "tests/cuda/comparison.h"

using namespace loragrad;
using namespace loragrad::test;

TEST_CASE("accumulate beside the processor") {
  each_round([](Comparison& c) {
    std::int64_t rows = c.size() % 50, cols = c.size();
    double beta = c.beta(), alpha = c.beta() * 1.5;
    Pair x = c.make(rows, cols, c.real(), alpha == 0), y = c.make(rows, cols, c.real(), beta == 0);
    c.run([&](Device& d, int w) { d.kernels().accumulate(d, {x.matrix(w), alpha, y.matrix(w), beta}); });
    CHECK(c.differ("y", y, c.tolerance({x.tensors[0].dtype(), y.tensors[0].dtype()})) == "");
  });
}
TEST_CASE("add beside the processor") {
  each_round([](Comparison& c) {
    std::int64_t rows = c.size() % 50, cols = c.size();
    DType da = c.real(), db = c.real(), dy = c.flip() ? da : c.real();
    Pair a = c.make(rows, cols, da), b = c.make(rows, cols, db), y = c.make(rows, cols, dy, true);
    if (da == dy && c.flip()) y = a;
    c.run([&](Device& d, int w) { d.kernels().add(d, {a.matrix(w), 0.5, b.matrix(w), -1.25, y.matrix(w)}); });
    CHECK(c.differ("y", y, c.tolerance({da, db, dy})) == "");
  });
}
TEST_CASE("scale beside the processor") {
  each_round([](Comparison& c) {
    std::int64_t rows = c.size() % 50, cols = c.size();
    Pair y = c.make(rows, cols, c.real()), f = c.dense(1, 1, c.flip() ? DType::f32 : DType::f64);
    if (c.flip())
      for (int w : {0, 1}) f.tensors[w].fill(1);
    c.run([&](Device& d, int w) { d.kernels().scale(d, {y.matrix(w), f.matrix(w)}); });
    CHECK(c.differ("y", y, c.tolerance({y.tensors[0].dtype(), DType::f32})) == "");
  });
}
TEST_CASE("column_sum beside the processor") {
  each_round([](Comparison& c) {
    std::int64_t rows = c.size(), cols = c.size();
    Pair x = c.make(rows, cols, c.real()), out = c.make(1, cols, c.flip() ? DType::f32 : DType::f64);
    c.run([&](Device& d, int w) { d.kernels().column_sum(d, {x.matrix(w), out.matrix(w)}); });
    CHECK(c.differ("out", out, c.tolerance({out.tensors[0].dtype()})) == "");
  });
}
TEST_CASE("scale_each beside the processor") {
  each_round([](Comparison& c) {
    std::int64_t rows = 1 + c.size() % 50, cols = c.size();
    bool by_row = c.flip();
    double beta = c.beta();
    DType dx = c.real(), dy = c.flip() ? dx : c.real();
    Pair x = c.make(rows, cols, dx), f = c.dense(1, by_row ? rows : cols, c.flip() ? DType::f32 : DType::f64),
         y = c.make(rows, cols, dy, beta == 0);
    c.run([&](Device& d, int w) {
      d.kernels().scale_each(d, {.x = x.matrix(w),
                                 .factors = f.matrix(w),
                                 .by_row = by_row,
                                 .alpha = 0.75,
                                 .offset = -0.5,
                                 .y = y.matrix(w),
                                 .beta = beta});
    });
    CHECK(c.differ("y", y, c.tolerance({dx, dy})) == "");
  });
}
TEST_CASE("column_dot beside the processor") {
  each_round([](Comparison& c) {
    std::int64_t rows = c.size(), cols = c.size();
    DType dtype = c.real();
    Pair a = c.make(rows, cols, dtype), b = c.make(rows, cols, dtype),
         out = c.make(1, cols, dtype == DType::f64 || c.flip() ? DType::f64 : DType::f32);
    c.run([&](Device& d, int w) { d.kernels().column_dot(d, {a.matrix(w), b.matrix(w), out.matrix(w)}); });
    CHECK(c.differ("out", out, c.tolerance({dtype == DType::f64 ? DType::f64 : DType::f32})) == "");
  });
}
TEST_CASE("weight_norms beside the processor") {
  each_round([](Comparison& c) {
    std::int64_t out = 1 + c.size() % 90, in = 1 + c.size() % 300, rank = c.below(5);
    bool in_out = c.flip(), given = c.below(4) == 0, alone = !given && c.below(4) == 0;
    DType dtype = c.flip() ? DType::f32 : DType::f64;
    Pair w = c.make(in_out ? in : out, in_out ? out : in, c.real()), product = c.make(rank, out, dtype),
         b = c.make(out, rank, dtype), m = c.dense(1, out, dtype), norm = c.dense(1, out, dtype),
         factor = c.dense(1, out, dtype), inverse = c.dense(1, out, dtype);
    c.run([&](Device& d, int which) {
      WeightNormsArgs args{.norm = norm.matrix(which)};
      if (!given) {
        args.w = w.matrix(which), args.in_out = in_out;
        args.product = product.matrix(which), args.b = b.matrix(which);
      }
      if (!alone)
        args.magnitude = m.matrix(which), args.factor = factor.matrix(which), args.inverse = inverse.matrix(which);
      d.kernels().weight_norms(d, args);
    });
    CHECK(c.differ("norm", norm, c.tolerance({dtype})) == "");
    CHECK(c.differ("factor", factor, c.tolerance({dtype})) == "");
    CHECK(c.differ("inverse", inverse, c.tolerance({dtype})) == "");
  });
}
TEST_CASE("rescale beside the processor") {
  each_round([](Comparison& c) {
    std::int64_t rows = c.size() % 50, cols = c.size();
    DType dtype = c.real(), vectors = dtype == DType::f64 ? DType::f64 : DType::f32;
    bool in_place = c.flip(), has_bias = c.flip(), has_e = c.flip();
    Pair y = c.make(rows, cols, dtype), u = in_place ? y : c.make(rows, cols, dtype), l = c.make(rows, cols, dtype),
         f = c.dense(1, cols, vectors), bias = c.dense(1, cols, vectors);
    c.run([&](Device& d, int w) {
      RescaleArgs args{.u = u.matrix(w), .l = l.matrix(w), .factors = f.matrix(w), .weight = 0.75, .y = y.matrix(w)};
      if (has_bias) args.bias = bias.matrix(w);
      if (has_e) args.e = l.matrix(w);
      d.kernels().rescale(d, args);
    });
    CHECK(c.differ("y", y, c.tolerance({dtype})) == "");
    CHECK(c.differ("e", l, c.tolerance({dtype})) == "");
  });
}
TEST_CASE("l2_norm beside the processor") {
  each_round([](Comparison& c) {
    std::vector<Pair> x;
    for (std::int64_t i = c.below(6); i > 0; --i) x.push_back(c.make(c.size() % 100, c.size(), c.real()));
    double max_norm = c.flip() ? 0 : 3;
    Pair found = c.dense(1, 2, DType::f64);
    c.run([&](Device& d, int w) {
      std::vector<ConstMatrix> list;
      for (Pair& p : x) list.push_back(p.matrix(w));
      auto* norm = found.tensors[w].mutable_data<double>();
      d.kernels().l2_norm(d, {.x = list, .max_norm = max_norm, .norm = norm, .clip = norm + 1});
    });
    CHECK(c.differ("norm", found, 1e-13) == "");
  });
}
TEST_CASE("dropout beside the processor") {
  each_round([](Comparison& c) {
    std::int64_t rows = c.size() % 50, cols = c.size();
    double beta = c.beta(), p = std::vector<double>{0, 0.3, 0.999999}[static_cast<std::size_t>(c.below(3))];
    DType dx = c.real(), dy = c.flip() ? dx : c.real();
    Pair x = c.make(rows, cols, dx), y = c.make(rows, cols, dy, beta == 0), tokens = c.integers(rows, 2, 1000);
    if (dx == dy && c.flip()) y = x, beta = 0;
    c.run([&](Device& d, int w) {
      d.kernels().dropout(
          d, {.x = x.matrix(w),
              .y = y.matrix(w),
              .mask = {.p = p, .key = 0x123456789abcdefull, .tokens = tokens.tensors[w].data<std::int32_t>()},
              .beta = beta});
    });
    CHECK(c.differ("y", y, c.tolerance({dx, dy})) == "");
  });
}
TEST_CASE("activation beside the processor") {
  each_round([](Comparison& c) {
    std::int64_t rows = c.size() % 50 + 1, cols = c.size();
    DType dx = c.real(), dy = c.flip() ? dx : c.real();
    Activation kind = kind_of(c.below(4));
    double beta = c.beta();
    bool masked = kind == Activation::relu;
    Pair x = c.make(rows, cols, dx), y = c.make(rows, cols, dy, true), g = c.make(rows, cols, dy),
         o = c.make(rows, cols, dx, beta == 0);
    Pair mask = c.integers(1, (rows * ((cols + 7) / 8) + 3) / 4, 1 << 30);
    bool bare = masked && c.below(4) == 0;
    if (dx == dy && c.flip()) o = g, beta = 0;
    c.run([&](Device& d, int w) {
      auto* bytes = masked ? reinterpret_cast<std::uint8_t*>(mask.tensors[w].mutable_data<std::int32_t>()) : nullptr;
      d.kernels().activation(d, {.kind = kind, .x = x.matrix(w), .y = y.matrix(w), .mask = bare ? nullptr : bytes});
      d.kernels().activation_backward(d, {.kind = kind,
                                          .x = masked ? Matrix{} : x.matrix(w),
                                          .dy = g.matrix(w),
                                          .dx = o.matrix(w),
                                          .mask = bytes,
                                          .beta = beta});
    });
    CHECK(c.differ("y", y, c.tolerance({dx, dy})) == "");
    CHECK(c.differ("dx", o, c.tolerance({dx, dy})) == "");
    if (masked) CHECK(same_bits(mask.tensors[0], mask.tensors[0]));
    if (masked) CHECK(mask.tensors[0].values<std::int32_t>() == mask.tensors[1].values<std::int32_t>());
  });
}
TEST_CASE("gated beside the processor") {
  each_round([](Comparison& c) {
    std::int64_t rows = c.size() % 50 + 1, cols = c.size();
    DType dx = c.real(), dy = c.below(4) ? dx : c.real();
    Activation kind = kind_of(c.below(4));
    double bg = c.beta(), bu = c.beta();
    Pair gate = c.make(rows, cols, dx), up = c.make(rows, cols, dx), y = c.make(rows, cols, dy, true),
         g = c.make(rows, cols, dy);
    Pair og = c.make(rows, cols, dx, bg == 0), ou = c.make(rows, cols, dx, bu == 0);
    c.run([&](Device& d, int w) {
      d.kernels().gated(d, {.kind = kind, .gate = gate.matrix(w), .up = up.matrix(w), .y = y.matrix(w)});
    });
    CHECK(c.differ("y", y, c.tolerance({dx, dy})) == "");
    std::int64_t which = c.below(5);
    if (which == 0) og = Pair();
    if (which == 1) ou = Pair();
    if (which == 2) og = gate, ou = up, bg = bu = 0;
    if (which == 3) ou = og, bu = 1;
    bool no_up = which == 0;
    c.run([&](Device& d, int w) {
      d.kernels().gated_backward(d, {.kind = kind,
                                     .gate = gate.matrix(w),
                                     .up = no_up ? Matrix{} : up.matrix(w),
                                     .dy = g.matrix(w),
                                     .dgate = og.matrix(w),
                                     .dup = ou.matrix(w),
                                     .beta_gate = bg,
                                     .beta_up = bu});
    });
    if (og.cols) CHECK(c.differ("dgate", og, c.tolerance({dx, dy})) == "");
    if (ou.cols) CHECK(c.differ("dup", ou, c.tolerance({dx, dy})) == "");
  });
}
TEST_CASE("norm beside the processor") {
  each_round([](Comparison& c) {
    std::int64_t rows = c.size() % 100 + 1, cols = c.size() + 2;
    if (c.flip()) cols = 8 * (c.size() / 2 + 1);
    if (c.below(10) == 0) cols = 8 * (1024 + c.below(1200)), rows = 2;
    DType dx = c.real(), dy = c.flip() ? dx : c.flip() ? DType::bf16 : c.real(), s = accumulation_type(dx);
    bool center = c.flip(), bias = center && c.flip();
    double tol = std::max(c.tolerance({dx == DType::bf16 ? DType::f32 : dx, dy}), 0.0) * 4;
    Pair x = c.make(rows, cols, dx), y = c.make(rows, cols, dy, true), g = c.make(rows, cols, dy),
         w = c.dense(1, cols, s), b = c.dense(1, cols, s);
    Pair mean = c.dense(rows, 1, s), rstd = c.dense(rows, 1, s), again = c.make(rows, cols, dy, true);
    bool keep = c.below(4) != 0;
    auto pointer = [](Pair& p, int which) { return p.matrix(which).data; };
    c.run([&](Device& d, int i) {
      NormArgs args{.x = x.matrix(i),
                    .weight = pointer(w, i),
                    .bias = bias ? pointer(b, i) : nullptr,
                    .eps = 1e-3,
                    .center = center,
                    .y = y.matrix(i),
                    .mean = center && keep ? pointer(mean, i) : nullptr,
                    .rstd = keep ? pointer(rstd, i) : nullptr};
      d.kernels().norm(d, args);
      args.mean = center ? pointer(mean, i) : nullptr, args.rstd = pointer(rstd, i);
      d.kernels().norm(d, args);
      args.y = again.matrix(i), args.reuse_statistics = true;
      d.kernels().norm(d, args);
    });
    CHECK(c.differ("y", y, tol) == "");
    CHECK(c.differ("mean", mean, tol) == "");
    CHECK(c.differ("rstd", rstd, tol) == "");
    CHECK(c.differ("again", again, tol) == "");
    CHECK(read_values(again.tensors[1]).size() > 0);
    double beta = c.beta();
    DType dox = c.below(5) ? dx : c.real();
    Pair o = c.make(rows, cols, dox, beta == 0), dw = c.make(1, cols, s), db = c.make(1, cols, s);
    if (dy == dox && c.flip()) o = g, beta = 0;
    bool with_dx = c.below(5) != 0, with_w = c.flip(), with_b = center && c.flip();
    c.run([&](Device& d, int i) {
      d.kernels().norm_backward(d, {.x = x.matrix(i),
                                    .dy = g.matrix(i),
                                    .weight = pointer(w, i),
                                    .mean = center ? pointer(mean, i) : nullptr,
                                    .rstd = pointer(rstd, i),
                                    .center = center,
                                    .dx = with_dx ? o.matrix(i) : Matrix{},
                                    .beta = beta,
                                    .dweight = with_w ? dw.matrix(i) : Matrix{},
                                    .dbias = with_b ? db.matrix(i) : Matrix{}});
    });
    double back = std::max(tol, c.tolerance({dox})) * 2;
    CHECK(c.differ("dx", o, back) == "");
    CHECK(c.differ("dweight", dw, s == DType::f64 ? 1e-11 : 1e-5) == "");
    CHECK(c.differ("dbias", db, s == DType::f64 ? 1e-11 : 1e-5) == "");
  });
}
TEST_CASE("rope beside the processor") {
  each_round([](Comparison& c) {
    std::int64_t half = std::vector<std::int64_t>{1, 2, 3, 4, 8, 16, 32, 64, 12}[static_cast<std::size_t>(c.below(9))],
                 rows = c.size() % 40, head_dim = 2 * half + (c.flip() ? 0 : c.below(20));
    std::int64_t heads = 1 + c.below(c.flip() ? 4 : 40);
    DType dx = c.real(), dy = c.below(4) ? dx : c.real(),
          dt = dx == DType::f64 || dy == DType::f64 ? DType::f64 : DType::f32;
    double beta = c.beta();
    Pair x = c.make(rows, head_dim * heads, dx), y = c.make(rows, head_dim * heads, dy, beta == 0);
    if (dx == dy && c.flip()) y = x, beta = 0;
    Pair positions = c.integers(rows, 1, 131072), f = c.dense(1, half, DType::f64), turns = c.dense(rows, 2 * half, dt);
    bool inverse = c.flip();
    c.run([&](Device& d, int i) {
      d.kernels().rotations(d, {.positions = positions.tensors[i].data<std::int32_t>(),
                                .frequencies = f.tensors[i].data<double>(),
                                .y = turns.matrix(i)});
      d.kernels().rope(d, {.x = x.matrix(i),
                           .y = y.matrix(i),
                           .rotations = turns.matrix(i),
                           .head_dim = head_dim,
                           .inverse = inverse,
                           .beta = beta});
    });
    CHECK(c.differ("rotations", turns, dt == DType::f64 ? 1e-9 : 1e-6) == "");
    CHECK(c.differ("y", y, std::max(1e-9, c.tolerance({dx, dy}))) == "");
  });
}
TEST_CASE("embedding beside the processor") {
  each_round([](Comparison& c) {
    std::int64_t tokens = c.size(), cols = c.size(), vocab = 1 + c.below(c.flip() ? 5 : 200);
    if (c.below(5) == 0) cols += 2040;
    DType dt = c.real(), dy = c.real();
    double beta = c.beta();
    Pair table = c.make(vocab, cols, dt), out = c.make(tokens, cols, dy, beta == 0), ids = c.integers(tokens, 1, vocab),
         g = c.make(tokens, cols, dy);
    c.run([&](Device& d, int i) {
      d.kernels().embedding(d, {.table = table.matrix(i),
                                .ids = ids.tensors[i].data<std::int32_t>(),
                                .out = out.matrix(i),
                                .scale = 1.5,
                                .beta = beta});
      d.kernels().embedding_backward(
          d,
          {.dout = g.matrix(i), .ids = ids.tensors[i].data<std::int32_t>(), .dtable = table.matrix(i), .scale = 0.75});
    });
    CHECK(c.differ("out", out, c.tolerance({dt, dy})) == "");
    CHECK(c.differ("dtable", table, dt == DType::bf16 ? 0.1 : c.tolerance({dt, dy == DType::f64 ? dt : DType::f32})) ==
          "");
  });
}
TEST_CASE("adamw beside the processor") {
  each_round([](Comparison& c) {
    struct Parts {
      Pair p, m, v, g;
    };
    std::vector<Parts> parts;
    for (std::int64_t i = c.below(6); i > 0; --i) {
      std::int64_t rows = c.size() % 100, cols = c.size();
      DType d = c.flip() ? DType::f32 : c.real();
      parts.push_back({c.make(rows, cols, d), c.make(rows, cols, c.below(4) ? d : c.real()),
                       c.make(rows, cols, c.below(4) ? d : c.real()), c.make(rows, cols, c.below(4) ? d : c.real())});
      std::vector<double> values = read_values(parts.back().v.tensors[0]);
      for (double& v : values) v = std::abs(v) + 0.25;  // a mean of squares
      for (int w : {0, 1}) {
        parts.back().v.tensors[w] = make_tensor(parts.back().v.tensors[w].device(), parts.back().v.tensors[w].shape(),
                                                parts.back().v.tensors[w].dtype(), values);
      }
    }
    Pair scale = c.dense(1, 1, DType::f64);
    bool scaled = c.flip();
    c.run([&](Device& d, int w) {
      std::vector<AdamWTensor> list;
      for (Parts& p : parts) list.push_back({p.p.matrix(w), p.m.matrix(w), p.v.matrix(w), p.g.matrix(w)});
      d.kernels().adamw(d, {.tensors = list,
                            .lr = 0.01,
                            .beta1 = 0.9,
                            .beta2 = 0.99,
                            .eps = 1e-8,
                            .weight_decay = 0.1,
                            .grad_scale = scaled ? scale.tensors[w].data<double>() : nullptr,
                            .step = 3});
    });
    for (Parts& p : parts)
      for (Pair* q : {&p.p, &p.m, &p.v})
        CHECK(c.differ("adamw", *q, c.tolerance({q->tensors[0].dtype(), DType::f32})) == "");
  });
}
