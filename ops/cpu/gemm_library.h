#pragma once
#include <cstddef>
#include <string_view>

#include "engine/kernels.h"

namespace loragrad::cpu {

// The places where a library multiplies matrices; the build picks onednn_gemm.cpp or openblas_gemm.cpp for all but
// blas_gemm_f64. All run on the calling thread alone and may be called from several threads at once, except where the
// library is given threads of its own.

/// A product as GemmArgs says, a and b both f32 or both bf16, c f32 or of their type; a bias only where alpha is 1.
/// bf16 only where library_has_bf16(). `scratch` has library_scratch(args, threads) bytes and is the caller's alone.
void library_gemm(const GemmArgs& args, void* scratch, int threads = 1);
std::size_t library_scratch(const GemmArgs& args, int threads = 1);
/// True where a row of c comes out the same, bit for bit, however many other rows are multiplied with it.
bool library_rows_stand_alone(const GemmArgs& args);
/// Generated code that is kept for so many shapes of batches, beyond the first's.
std::size_t library_code_bytes(std::size_t batch_shapes);
/// f64 through OpenBLAS, whichever library multiplies the rest.
void blas_gemm_f64(const GemmArgs& args);
/// True when the processor multiplies bf16 and the library uses it, and when it does so by tiles of a matrix (AMX).
bool library_has_bf16();
bool library_has_bf16_tiles();
std::string_view library_name();

}  // namespace loragrad::cpu
