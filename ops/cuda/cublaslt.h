#pragma once
#include <cublasLt.h>

namespace loragrad::cuda {

/// What is called of NVIDIA's library of products. Its file has half a gigabyte, so it is loaded when a GPU is first
/// used, and programs that use none run without it.
#define LORAGRAD_CUBLASLT_FUNCTIONS(FUNCTION) \
  FUNCTION(Create)                            \
  FUNCTION(Destroy)                           \
  FUNCTION(GetStatusName)                     \
  FUNCTION(Matmul)                            \
  FUNCTION(MatmulAlgoCheck)                   \
  FUNCTION(MatmulAlgoGetHeuristic)            \
  FUNCTION(MatmulDescCreate)                  \
  FUNCTION(MatmulDescDestroy)                 \
  FUNCTION(MatmulDescSetAttribute)            \
  FUNCTION(MatmulPreferenceCreate)            \
  FUNCTION(MatmulPreferenceDestroy)           \
  FUNCTION(MatmulPreferenceSetAttribute)      \
  FUNCTION(MatrixLayoutCreate)                \
  FUNCTION(MatrixLayoutDestroy)

struct CublasLt {
#define FUNCTION(name) decltype(&cublasLt##name) name = nullptr;
  LORAGRAD_CUBLASLT_FUNCTIONS(FUNCTION)
#undef FUNCTION
};

/// Loads it at the first call. IoError where it is not installed. Any thread may call.
const CublasLt& cublaslt();

}  // namespace loragrad::cuda
