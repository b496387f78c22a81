#pragma once
#include <cstdint>
#include <span>

#include "ops/cuda/thin.h"

/// The parts that thin.cpp chooses from.
namespace loragrad::cuda {

constexpr std::int64_t most_rank = 128;

enum class ThinShape { none, down, up, outer };
ThinShape thin_shape(const GemmArgs& g);

/// Of an outer product: whether its T x D side is b (c is [r, D]) or a (c is [D, r]).
bool wide_is_b(const GemmArgs& g);

using ThinProducts = std::span<const GemmArgs>;

/// By tensor cores, in bf16.
std::size_t thin_down_scratch(ThinProducts products);
void thin_down(Device& device, ThinProducts products, void* scratch);
void thin_up(Device& device, ThinProducts products);
std::size_t thin_outer_scratch(ThinProducts products);
void thin_outer(Device& device, ThinProducts products, void* scratch);

/// Any of them in f32 or f64.
std::size_t thin_fma_scratch(const GemmArgs& g);
void thin_fma(Device& device, const GemmArgs& g, void* scratch);

}  // namespace loragrad::cuda
