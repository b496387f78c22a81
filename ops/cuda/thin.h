#pragma once
#include <cstddef>
#include <span>

#include "engine/device.h"

/// LoRA's products: one of their dimensions is a rank r <= 128, so that they cost what reading x and writing c costs
/// (Hu et al. 2021, "LoRA"). Three shapes, with T tokens and D features:
///   down    c [T, r] = alpha drop(a [T, D]) op(b) + beta c          h = drop(x) Aᵀ,  dh = s dy B
///   up      c [T, D] = drop(alpha a [T, r] op(b)) + beta c          y += s h Bᵀ,     dx += drop(dh A)
///   outer   c [r, D] = alpha aᵀ [r, T] drop(b [T, D]) + beta c      dA = dhᵀ drop(x)
///           c [D, r] = alpha aᵀ [D, T] b [T, r] + beta c            dB = s dyᵀ h
/// in bf16 (b of down and up may be f32 and is rounded; c bf16 or f32), all in f32, or all in f64. In bf16 dropout rounds
/// nothing: what is kept goes into the sum as it is, and the scale into alpha.
///
/// Several products may be done in one pass, each with its own mask: down and outer of one T x D side, which is read
/// once, and up into one c, which is read and written once. An element's bits do not depend on what goes together,
/// but that a c of several is rounded once.
namespace loragrad::cuda {

bool is_thin(const GemmArgs& g);

/// Whether `next` may be in one call with `first`, and after it: to be asked of every one that is in the call already.
bool go_together(const GemmArgs& first, const GemmArgs& next);
constexpr std::size_t most_together = 4;

/// One to four that go together.
std::size_t thin_scratch(Device& device, std::span<const GemmArgs> products);
void thin(Device& device, std::span<const GemmArgs> products, void* scratch);

}  // namespace loragrad::cuda
