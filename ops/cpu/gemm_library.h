#pragma once
#include <cstddef>
#include <string_view>

#include "engine/kernels.h"

namespace loragrad::cpu {

// The places where a library multiplies matrices; the build picks onednn_gemm.cpp or openblas_gemm.cpp for them. All
// run on the calling thread alone and may be called from several threads at once.

/// c = alpha op(a) op(b) + beta c; a, b, c of one type, f32 or f64. No bias.
void library_gemm(const GemmArgs& args);
/// The same with bf16 a and b, and c in bf16 or f32; with the bias, in f32, where alpha is 1. Only where
/// library_has_bf16(). `scratch` has library_scratch(args) bytes and is the caller's alone.
void library_gemm_bf16(const GemmArgs& args, void* scratch);
std::size_t library_scratch(const GemmArgs& args);
/// True when the processor multiplies bf16 and the library uses it.
bool library_has_bf16();
std::string_view library_name();
/// f64 through OpenBLAS, whichever library multiplies f32.
void blas_gemm_f64(const GemmArgs& args);

}  // namespace loragrad::cpu
