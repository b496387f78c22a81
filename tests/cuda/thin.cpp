#include "ops/cuda/thin.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <limits>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "engine/random.h"
#include "ops/cpu/cpu_device.h"
#include "ops/cuda/cuda_device.h"

// Compiled as the backend that it tests is: for a GPU, or for one in emulation.
namespace loragrad {
namespace {

/// LoRA's products (lora/lora_linear.cpp), of T tokens, D features and a rank.
enum class Kind { h, dh, y, dx, da, db };
constexpr Kind kinds[] = {Kind::h, Kind::dh, Kind::y, Kind::dx, Kind::da, Kind::db};
bool is_down(Kind kind) { return kind == Kind::h || kind == Kind::dh; }
bool is_up(Kind kind) { return kind == Kind::y || kind == Kind::dx; }
bool is_outer(Kind kind) { return kind == Kind::da || kind == Kind::db; }

struct Types {
  DType a, b, c;
};

struct Sizes {
  std::int64_t tokens, features;
  std::vector<std::int64_t> ranks;  // of the products of one call
  double p = 0, beta = 0;
  std::int64_t gap = 0;  // columns before a matrix's rows, and behind them
};

std::vector<std::byte> stored(const std::vector<double>& values, DType dtype) {
  std::vector<std::byte> bytes(values.size() * size_of(dtype));
  for (std::size_t i = 0; i < values.size(); ++i) {
    auto single = static_cast<float>(values[i]);
    bf16 half(single);
    const void* from = dtype == DType::f64 ? static_cast<const void*>(&values[i]) : &single;
    std::memcpy(&bytes[i * size_of(dtype)], dtype == DType::bf16 ? &half : from, size_of(dtype));
  }
  return bytes;
}
std::vector<double> loaded(const std::vector<std::byte>& bytes, DType dtype) {
  std::vector<double> values(bytes.size() / size_of(dtype));
  for (std::size_t i = 0; i < values.size(); ++i) {
    float single = 0;
    bf16 half;
    void* to = dtype == DType::f64 ? static_cast<void*>(&values[i]) : &single;
    std::memcpy(dtype == DType::bf16 ? &half : to, &bytes[i * size_of(dtype)], size_of(dtype));
    if (dtype != DType::f64) values[i] = dtype == DType::bf16 ? static_cast<float>(half) : single;
  }
  return values;
}
double in_bf16(double value) { return static_cast<float>(bf16(static_cast<float>(value))); }

/// Device memory with a matrix among columns that nobody may touch.
class Stored {
 public:
  Stored(Device& device, DType dtype, std::int64_t rows, std::int64_t cols, std::int64_t gap, std::uint64_t stream,
         bool unset = false)
      : gap(gap),
        device_(device),
        matrix_{nullptr, dtype, rows, cols + 2 * gap, cols + 2 * gap},
        memory_(device, bytes_of(dtype, rows * matrix_.cols)),
        cols_(cols) {
    matrix_.data = memory_.data();
    std::vector<double> all;
    for (std::uint32_t i = 0; i < static_cast<std::uint32_t>(rows * matrix_.cols); ++i) {
      bool inside = is_inside(i);
      // Sixteen bits, or as many as bf16 has.
      double value = (static_cast<double>(philox({i, 0, 0, 0}, stream)[0] % 65536) - 32767.5) / 20000;
      all.push_back(inside && unset ? std::numeric_limits<double>::quiet_NaN() : value);
    }
    auto bytes = std::make_shared<std::vector<std::byte>>(stored(all, dtype));
    device.upload(matrix_.data, {bytes->data(), bytes->size(), bytes});
    values();  // waits
  }
  Matrix matrix() const { return column_range(matrix_, gap, cols_); }
  std::vector<double> values() const {
    std::vector<std::byte> bytes(bytes_of(matrix_.dtype, matrix_.rows * matrix_.cols));
    device_.download(bytes.data(), matrix_.data, bytes.size());
    return loaded(bytes, matrix_.dtype);
  }
  /// Of all values.
  std::size_t index(std::int64_t row, std::int64_t col) const {
    return static_cast<std::size_t>(row * matrix_.cols + gap + col);
  }
  bool is_inside(std::size_t i) const {
    std::int64_t col = static_cast<std::int64_t>(i) % matrix_.cols - gap;
    return col >= 0 && col < cols_;
  }
  const std::int64_t gap;

 private:
  Device& device_;
  Matrix matrix_;
  Workspace memory_;
  std::int64_t cols_;
};
using StoredPtr = std::shared_ptr<Stored>;

/// Row in the step and position of token i.
std::array<std::int32_t, 2> token(std::int64_t i) {
  return {static_cast<std::int32_t>(3 + i / 7), static_cast<std::int32_t>(i % 7)};
}

/// The products of one call, with their operands.
struct Call {
  Call(const DevicePtr& device, Kind kind, const Types& types, const Sizes& s)
      : device(device), kind(kind), tokens(*device, static_cast<std::size_t>(8 * (s.tokens + 1))) {
    std::int64_t before = s.tokens % 2;  // tokens of an odd range of rows are not aligned
    auto ids = std::make_shared<std::vector<std::int32_t>>();
    for (std::int64_t i = -before; i < s.tokens; ++i) ids->insert(ids->end(), {token(i)[0], token(i)[1]});
    device->upload(tokens.data(), {ids->data(), 4 * ids->size(), ids});
    std::uint64_t stream = 0;
    auto make = [&](std::int64_t rows, std::int64_t cols, DType dtype, bool unset = false) {
      return std::make_shared<Stored>(*device, dtype, rows, cols, s.gap, ++stream, unset);
    };
    std::int64_t t = s.tokens, d = s.features;
    bool unset = s.beta == 0;
    StoredPtr wide = make(t, d, types.a), sum = make(t, d, types.c, unset);
    for (std::int64_t r : s.ranks) {
      std::size_t i = products.size();
      StoredPtr narrow = make(t, r, types.a);
      a.push_back(is_down(kind) || kind == Kind::db ? wide : narrow);
      b.push_back(kind == Kind::da ? wide
                  : kind == Kind::db
                      ? narrow
                      : (kind == Kind::h || kind == Kind::dx ? make(r, d, types.b) : make(d, r, types.b)));
      c.push_back(is_up(kind)        ? sum
                  : is_down(kind)    ? make(t, r, types.c, unset)
                  : kind == Kind::da ? make(r, d, types.c, unset)
                                     : make(d, r, types.c, unset));
      GemmArgs g{.c = c[i]->matrix(),
                 .a = a[i]->matrix(),
                 .b = b[i]->matrix(),
                 .transpose_a = is_outer(kind),
                 .transpose_b = kind == Kind::h || kind == Kind::y,
                 .alpha = 0.5 + 0.25 * static_cast<double>(i),
                 .beta = is_up(kind) && i > 0 ? 1 : s.beta};
      if (s.p > 0 && (kind == Kind::h || kind == Kind::dx || kind == Kind::da)) {
        g.dropout = {s.p + 0.1 * static_cast<double>(i), 77 + i,
                     static_cast<std::int32_t*>(tokens.data()) + 2 * before};
        g.dropped = kind == Kind::h ? Dropped::a : kind == Kind::dx ? Dropped::product : Dropped::b;
      }
      products.push_back(g);
    }
  }

  void run(std::span<const GemmArgs> some) {
    Workspace scratch(*device, cuda::thin_scratch(*device, some));
    cuda::thin(*device, some, scratch.data());
  }
  std::vector<std::vector<double>> results() const {
    std::vector<std::vector<double>> all;
    for (const StoredPtr& target : c) all.push_back(target->values());
    return all;
  }

  DevicePtr device;
  Kind kind;
  Workspace tokens;
  std::vector<StoredPtr> a, b, c;
  std::vector<GemmArgs> products;
};

/// What dropout makes of a one.
double factor(const GemmArgs& g, Dropped dropped, std::int64_t row, std::int64_t col) {
  if (!g.dropout.on() || g.dropped != dropped) return 1;
  double threshold = std::round(g.dropout.p * 65536);
  auto word = philox({static_cast<std::uint32_t>(token(row)[0]), static_cast<std::uint32_t>(token(row)[1]),
                      static_cast<std::uint32_t>(col / 8), 0},
                     g.dropout.key)[static_cast<std::size_t>(col % 8 / 2)];
  return (col % 2 ? word >> 16 : word & 0xffff) >= threshold ? 1 / (1 - threshold / 65536) : 0;
}

/// What a call must make of its targets, and the sizes of what is summed: by plain loops.
struct Expected {
  explicit Expected(const Call& call) : values(call.results()) {
    for (auto& target : values) sizes.emplace_back(target.size());
    for (std::size_t i = 0; i < call.products.size(); ++i) add(call, i, is_up(call.kind) ? 0 : i);
    if (is_up(call.kind))
      for (std::size_t i = 1; i < values.size(); ++i) values[i] = values[0], sizes[i] = sizes[0];
  }
  void add(const Call& call, std::size_t i, std::size_t to) {
    const GemmArgs& g = call.products[i];
    const Stored &a = *call.a[i], &b = *call.b[i];
    std::vector<double> left = a.values(), right = b.values();
    if (g.a.dtype == DType::bf16)
      for (double& x : right) x = in_bf16(x);
    for (std::int64_t row = 0; row < g.c.rows; ++row)
      for (std::int64_t col = 0; col < g.c.cols; ++col) {
        double sum = 0, size = 0;
        for (std::int64_t k = 0; k < inner(g); ++k) {
          double x = left[g.transpose_a ? a.index(k, row) : a.index(row, k)] * factor(g, Dropped::a, row, k);
          double y = right[g.transpose_b ? b.index(col, k) : b.index(k, col)] * factor(g, Dropped::b, k, col);
          sum += x * y;
          size += std::abs(x * y);
        }
        double kept = factor(g, Dropped::product, row, col);
        double &value = values[to][call.c[i]->index(row, col)], &all = sizes[to][call.c[i]->index(row, col)];
        value = g.alpha * kept * sum + (g.beta == 0 ? 0 : value);
        all += g.alpha * kept * size + std::abs(value);
      }
  }
  std::vector<std::vector<double>> values, sizes;
};

/// The largest error in units of what the types allow. What lies beside the targets must be as it was.
double error(const Call& call, const Expected& expected) {
  double worst = 0;
  for (std::size_t i = 0; i < call.products.size(); ++i) {
    DType type = call.products[i].a.dtype, result = call.products[i].c.dtype;
    double sum = type == DType::f64 ? 1e-14 : 1e-6, rounding = result == DType::bf16 ? 0x1p-8 : 0;
    std::vector<double> got = call.c[i]->values();
    for (std::size_t j = 0; j < got.size(); ++j) {
      double want = expected.values[i][j];
      double allowed = call.c[i]->is_inside(j) ? rounding * std::abs(want) + sum * expected.sizes[i][j] + 1e-30 : 1e-30;
      double off = std::abs(got[j] - want) / allowed;
      if (!(off <= worst) && worst == worst) worst = off;  // a NaN stays
    }
  }
  return worst;
}

std::string text(Kind kind, const Types& types, const Sizes& s) {
  const char* const names[] = {"h", "dh", "y", "dx", "dA", "dB"};
  std::string all = names[static_cast<int>(kind)];
  for (DType type : {types.a, types.b, types.c}) all += " " + std::string(name_of(type));
  all += ", " + std::to_string(s.tokens) + " tokens, " + std::to_string(s.features) + " features, p " +
         std::to_string(s.p) + ", beta " + std::to_string(s.beta) + ", gap " + std::to_string(s.gap) + ", ranks";
  for (std::int64_t r : s.ranks) all += " " + std::to_string(r);
  return all;
}

const std::vector<Types> all_types = {{DType::bf16, DType::bf16, DType::bf16},
                                      {DType::bf16, DType::f32, DType::f32},
                                      {DType::f32, DType::f32, DType::f32},
                                      {DType::f64, DType::f64, DType::f64}};

const std::vector<Sizes> all_sizes = {
    {1, 33, {3}},
    {1, 264, {8, 8, 8}, 0.2, 1},
    {5, 40, {8, 3}, 0.3},
    {67, 136, {16}, 0.25, 1},
    {130, 300, {16, 8, 24}, 0.1, 1},
    {130, 257, {16, 8, 3, 31}, 0.1, 0, 3},
    {65, 136, {8, 64, 16}, 0.1, 1, 8},
    {66, 152, {64, 64, 48, 40}, 0, 0, 8},
    {66, 130, {72, 128}, 0.5, 1},
    {37, 320, {100, 128, 128, 128}, 0.2, 0, 1},
};

/// In the types that a kind has, by any of the shapes that its sizes allow.
template <class Check>
void for_calls(Check check) {
  for (Kind kind : kinds)
    for (Types types : all_types)
      for (const Sizes& sizes : all_sizes) {
        if (is_outer(kind) && types.a == DType::bf16) types.b = DType::bf16;
        INFO(text(kind, types, sizes));
        check(kind, types, sizes);
      }
}

DevicePtr gpu() { return cuda::cuda_device({.single_blocks = true}); }

}  // namespace

TEST_CASE("thin products are the sums that they stand for, whatever the types, sizes, strides and masks") {
  for_calls([](Kind kind, const Types& types, const Sizes& sizes) {
    Call call(gpu(), kind, types, sizes);
    Expected expected(call);
    for (std::size_t i = 0; i < call.products.size(); ++i) {
      CHECK(cuda::is_thin(call.products[i]));
      for (std::size_t j = 0; j < i; ++j) CHECK(cuda::go_together(call.products[j], call.products[i]));
    }
    call.run(call.products);
    CHECK(error(call, expected) < 1);
  });
}

TEST_CASE("thin products of sizes at which a block's work is more than its pipeline is long") {
  Types types{DType::bf16, DType::bf16, DType::bf16};
  struct Long {
    Kind kind;
    Sizes sizes;
  };
  for (const Long& of : {Long{Kind::h, {12805, 380, {8}, 0.1}}, Long{Kind::dh, {6400, 700, {17}, 0, 1}},
                         Long{Kind::y, {1290, 6800, {8}, 0, 1}}, Long{Kind::dx, {1290, 6800, {8, 8}, 0.1, 1}},
                         Long{Kind::da, {333, 17003, {8}, 0.1, 1}}, Long{Kind::db, {390, 9000, {20}, 0, 1}}}) {
    INFO(text(of.kind, types, of.sizes));
    Call call(gpu(), of.kind, types, of.sizes);
    Expected expected(call);
    call.run(call.products);
    CHECK(error(call, expected) < 1);
  }
}

TEST_CASE("what is done in one pass has the bits that it has alone") {
  for_calls([](Kind kind, const Types& types, const Sizes& sizes) {
    if (is_up(kind) && types.c == DType::bf16) return;  // is rounded once instead
    Call together(gpu(), kind, types, sizes), alone(gpu(), kind, types, sizes);
    together.run(together.products);
    for (const GemmArgs& g : alone.products) alone.run({&g, 1});
    CHECK(together.results() == alone.results());
  });
}

TEST_CASE("thin products drop what the processor drops") {
  for (Kind kind : {Kind::h, Kind::dx, Kind::da}) {
    Types types{DType::f32, DType::f32, DType::f32};
    Sizes sizes{70, 150, {8, 20}, 0.4, 1};
    Call call(gpu(), kind, types, sizes), on_cpu(cpu_device(2), kind, types, sizes);
    call.run(call.products);
    for (const GemmArgs& g : on_cpu.products) on_cpu.device->kernels().gemm(*on_cpu.device, g);
    for (std::size_t i = 0; i < call.products.size(); ++i) {
      std::vector<double> got = call.c[i]->values(), want = on_cpu.c[i]->values();
      for (std::size_t j = 0; j < got.size(); ++j) CHECK(std::abs(got[j] - want[j]) < 1e-4);
    }
  }
}

TEST_CASE("thin products without terms, rows or columns") {
  for (Kind kind : kinds)
    for (DType type : {DType::bf16, DType::f32})
      for (const Sizes& sizes : {Sizes{0, 40, {8}}, Sizes{5, 40, {0}}, Sizes{5, 0, {8}}, Sizes{0, 40, {8}, 0.5, 1}}) {
        Types types{type, type, type};
        INFO(text(kind, types, sizes));
        Call call(gpu(), kind, types, sizes);
        Expected expected(call);
        call.run(call.products);
        CHECK(error(call, expected) < 1);
      }
}

TEST_CASE("other products are not thin, and others do not go together") {
  auto product = [](std::int64_t m, std::int64_t k, std::int64_t n, DType type = DType::bf16) {
    return GemmArgs{.c = {nullptr, type, m, n, n}, .a = {nullptr, type, m, k, k}, .b = Matrix{nullptr, type, k, n, n}};
  };
  CHECK(cuda::is_thin(product(500, 600, 128)));
  CHECK(cuda::is_thin(product(500, 128, 600)));
  CHECK(!cuda::is_thin(product(500, 600, 129)));
  GemmArgs with_bias = product(500, 600, 16);
  with_bias.bias = &with_bias;
  CHECK(!cuda::is_thin(with_bias));
  GemmArgs mixed = product(500, 600, 16, DType::f32);
  mixed.b.dtype = DType::bf16;
  CHECK(!cuda::is_thin(mixed));
  // Dropout says which side is wide: what is summed over is 600 long.
  GemmArgs dropped = product(500, 600, 16);
  dropped.dropout.p = 0.5;
  dropped.dropped = Dropped::product;
  CHECK(!cuda::is_thin(dropped));
  dropped.dropped = Dropped::a;
  CHECK(cuda::is_thin(dropped));

  Sizes sizes{5, 40, {8, 8}};
  Types types{DType::f32, DType::f32, DType::f32};
  Call down(gpu(), Kind::h, types, sizes), up(gpu(), Kind::y, types, sizes), other(gpu(), Kind::h, types, sizes);
  CHECK(cuda::go_together(down.products[0], down.products[1]));
  CHECK(!cuda::go_together(down.products[0], other.products[1]));  // of another x
  CHECK(!cuda::go_together(down.products[0], down.products[0]));   // into one c
  CHECK(!cuda::go_together(down.products[0], up.products[0]));
  CHECK(cuda::go_together(up.products[0], up.products[1]));
  CHECK(!cuda::go_together(up.products[1], up.products[0]));  // which overwrites
}

}  // namespace loragrad
