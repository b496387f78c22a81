#include <algorithm>
#include <numeric>
#include <vector>

#include "ops/cpu/dispatch.h"
#include "ops/cpu/gemm_panels.h"
#include "ops/cpu/kernels.h"
#include "ops/cpu/scratch.h"
#include "ops/cpu/softmax_loss.h"

namespace loragrad::cpu {
namespace {

using Index = std::int64_t;

// Of logits, with x, dx and a sum for it in f32. With further sums and scratch space these are 64 MB.
constexpr Index tile_bytes = 54 << 20;
// With fewer tokens than these a product mostly waits for the head, which each tile reads whole: vocabularies above 110,000 take more.
constexpr Index fewest_rows = 128;
constexpr Index panel_width = 512;  // of logits: what a thread multiplies at a time fits its cache

/// Tokens of a tile: as many as fit the budget, cut evenly, since a product with few rows is slow.
Index rows_of_tile(Index tokens, const WeightView& head, DType x) {
  auto size = [](DType dtype) { return static_cast<Index>(size_of(dtype)); };
  Index wide = size(accumulation_type(x)), bytes = head.rows * wide + head.cols * (2 * size(x) + wide);
  Index fit = std::max<Index>(fewest_rows, tile_bytes / bytes);
  if (fit > 16) fit = fit / 16 * 16;
  Index tiles = std::max<Index>(1, (tokens + fit - 1) / fit), even = (tokens + tiles - 1) / tiles;
  return std::clamp<Index>((even + 15) / 16 * 16, 1, fit);
}

/// The products of some of the tokens, `begin` to `begin + count`, with all that they make on the way.
class Tile {
 public:
  Tile(const HeadLossArgs& args, Index begin, Index count, void* memory)
      : args_(args), begin_(begin), count_(count), scratch_(memory) {
    x_ = scratch_.take(args.x.dtype, count, args.x.cols);
    logits_ = scratch_.take(accumulation_type(args.x.dtype), count, args.head.rows);
    if (wanted(args.dx)) dx_ = scratch_.take(args.x.dtype, count, args.x.cols);
    panels_ = {panel_width, panel_width * count};
    if (wanted(args.dx) || wanted(args.dhead)) {  // in the operands' type, on the logits
      dlogits_ = logits_;
      dlogits_.dtype = args.x.dtype;
      narrow_ = panels_;
      narrow_.stride *= static_cast<Index>(size_of(logits_.dtype) / size_of(dlogits_.dtype));
    }
  }

  std::size_t scratch(Device& device) const {
    std::size_t most = gemm_panels_workspace(device, logits());
    if (wanted(args_.dx)) most = std::max(most, gemm_panels_workspace(device, dx()));
    if (wanted(args_.dhead)) most = std::max(most, gemm_panels_workspace(device, dhead()));
    return scratch_.used() + most;
  }

  /// Adds the tokens' losses to `sum`, in order.
  double run(Device& device, double sum) const {
    void* rest = scratch_.rest();
    const std::int32_t* tokens = args_.tokens + begin_;
    embedding(device, {.table = args_.x, .ids = tokens, .out = x_});
    gemm_panels(device, logits(), rest);
    std::vector<double> losses(static_cast<std::size_t>(count_));
    softmax_loss(device, {.logits = logits_,
                          .targets = args_.ids + begin_,
                          .losses = losses.data(),
                          .dlogits = dlogits_,
                          .scale = 1 / args_.denominator,
                          .soft_cap = args_.soft_cap,
                          .panels = panels_,
                          .dlogits_stride = narrow_.stride});
    if (wanted(args_.dx)) {
      gemm_panels(device, dx(), rest);
      embedding_backward(device, {.dout = dx_, .ids = tokens, .dtable = args_.dx});
    }
    if (wanted(args_.dhead)) gemm_panels(device, dhead(), rest);
    return std::accumulate(losses.begin(), losses.end(), sum);
  }

 private:
  static bool wanted(const Matrix& m) { return m.rows > 0; }
  PanelGemm logits() const {
    return {.g = {.c = logits_, .a = x_, .b = args_.head, .transpose_b = true}, .c = panels_};
  }
  PanelGemm dx() const { return {.g = {.c = dx_, .a = dlogits_, .b = args_.head}, .a = narrow_}; }
  PanelGemm dhead() const {
    return {.g = {.c = args_.dhead, .a = dlogits_, .b = x_, .transpose_a = true, .beta = 1}, .a = narrow_};
  }

  const HeadLossArgs& args_;
  Index begin_, count_;
  Scratch scratch_;
  Matrix x_, logits_, dlogits_, dx_;
  Panels panels_, narrow_;
};

Index tile_size(const HeadLossArgs& args) { return rows_of_tile(args.count, args.head, args.x.dtype); }

}  // namespace

std::size_t scratch_bytes(Device& device, const HeadLossArgs& args) {
  if (args.count == 0) return 0;
  Index size = tile_size(args), last = (args.count - 1) / size * size;
  return std::max(Tile(args, 0, std::min(size, args.count), nullptr).scratch(device),
                  Tile(args, last, args.count - last, nullptr).scratch(device));
}

void head_loss(Device& device, const HeadLossArgs& args, void* scratch) {
  for (const Matrix& gradient : {args.dx, args.dhead})
    if (gradient.rows > 0) accumulate(device, {gradient, 0, gradient, 0});
  double sum = 0;
  Index size = tile_size(args);
  for (Index begin = 0; begin < args.count; begin += size)
    sum = Tile(args, begin, std::min(size, args.count - begin), scratch).run(device, sum);
  *args.sum = sum;
  double loss = sum / args.denominator;
  store(&loss, 0, args.loss, 0, 0, 1);
}

}  // namespace loragrad::cpu
