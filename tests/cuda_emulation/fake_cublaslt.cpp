// cuBLASLt for the emulated GPU: refuses what the library's manual does not allow, and multiplies on the processor, in
// the order of the stream. std::logic_error where ops/cuda breaks a promise.
#include "tests/cuda_emulation/fake_cublaslt.h"

#include <stdexcept>
#include <string>
#include <vector>

#include "engine/device.h"
#include "ops/cpu/cpu_device.h"
#include "ops/cuda/cublaslt.h"

struct cublasLtContext {};
struct cublasLtMatmulDescOpaque_t {
  cublasComputeType_t compute;
  cudaDataType_t scale;
  std::int32_t transpose_a = CUBLAS_OP_N, transpose_b = CUBLAS_OP_N;
  std::uint32_t epilogue = CUBLASLT_EPILOGUE_DEFAULT;
  const void* bias = nullptr;
};
/// Down columns, `ld` elements from one to the next.
struct cublasLtMatrixLayoutOpaque_t {
  cudaDataType_t type;
  std::int64_t rows, cols, ld;
};
struct cublasLtMatmulPreferenceOpaque_t {
  std::uint64_t workspace = 0;
  std::uint32_t reductions = 7, alignments[4] = {256, 256, 256, 256};  // of a, b, c, d
};

namespace {

using loragrad::bf16;
using loragrad::DType;
using Layout = cublasLtMatrixLayoutOpaque_t;

[[noreturn]] void broken(const std::string& what) { throw std::logic_error("cuBLASLt: " + what); }
void demand(bool held, const char* what) {
  if (!held) broken(what);
}

std::uint64_t address(const void* p) { return reinterpret_cast<std::uintptr_t>(p); }
DType dtype_of(cudaDataType_t type) {
  return type == CUDA_R_64F ? DType::f64 : type == CUDA_R_32F ? DType::f32 : DType::bf16;
}

/// A product that was described: d = a b, of [m, k] and [k, n], column by column.
struct Problem {
  Problem(const cublasLtMatmulDescOpaque_t& operation, const Layout& a, const Layout& b, const Layout& c,
          const Layout& d)
      : operation(operation), a(a), b(b), d(d) {
    m = operation.transpose_a ? a.cols : a.rows;
    k = operation.transpose_a ? a.rows : a.cols;
    n = operation.transpose_b ? b.rows : b.cols;
    demand(m == d.rows && n == d.cols && k == (operation.transpose_b ? b.cols : b.rows), "shapes do not fit");
    demand(c.type == d.type && c.rows == d.rows && c.cols == d.cols && c.ld == d.ld, "c and d lie differently");
    bool wide = a.type == CUDA_R_64F;
    demand(a.type == b.type, "operands of two types");
    demand(d.type == a.type || (a.type == CUDA_R_16BF && d.type == CUDA_R_32F), "a result that has no kernel");
    demand(operation.scale == (wide ? CUDA_R_64F : CUDA_R_32F), "the scale's type");
    demand(wide ? operation.compute == CUBLAS_COMPUTE_64F
                : operation.compute == CUBLAS_COMPUTE_32F ||
                      (operation.compute == CUBLAS_COMPUTE_32F_FAST_TF32 && a.type == CUDA_R_32F),
           "the type to compute in");
    demand((operation.epilogue == CUBLASLT_EPILOGUE_BIAS) == (operation.bias != nullptr),
           "a bias without its epilogue");
    demand(address(operation.bias) % 16 == 0, "a bias that vectors cannot be read of");
  }

  /// What an algorithm may build on beside the sizes.
  std::uint64_t kind() const {
    std::uint64_t kind = static_cast<std::uint64_t>(operation.compute) * 31 + operation.epilogue;
    for (std::int64_t value : {std::int64_t{a.type}, std::int64_t{d.type}, std::int64_t{operation.transpose_a},
                               std::int64_t{operation.transpose_b}, a.ld, b.ld, d.ld})
      kind = kind * 1000003 + static_cast<std::uint64_t>(value);
    return kind;
  }

  cublasLtMatmulDescOpaque_t operation;
  Layout a, b, d;
  std::int64_t m, n, k;
};

/// What the fake keeps in an algorithm.
struct Algorithm {
  std::uint64_t kind;
  std::int64_t m, n, k;
  std::uint64_t workspace;
  std::uint32_t alignments[4];  // of a, b, d and the bias

  /// Sizes other than those that it was made for, some of which it takes, as the library's do.
  bool takes(const Problem& p) const {
    if (kind != p.kind()) return false;
    if (m == p.m && n == p.n && k == p.k) return true;
    return p.m <= m && p.n <= n && p.k <= k && (p.n % 3 != 0 || p.k % 3 != 0);
  }
};
static_assert(sizeof(Algorithm) <= sizeof(cublasLtMatmulAlgo_t));

Algorithm read(const cublasLtMatmulAlgo_t& from) {
  Algorithm algorithm;
  std::memcpy(&algorithm, &from, sizeof algorithm);
  return algorithm;
}

std::uint32_t alignment_of(const void* p) {
  std::uint64_t bit = address(p) & -address(p);
  return bit == 0 || bit > 256 ? 256 : static_cast<std::uint32_t>(bit);
}

/// The product on the processor: row by row, dᵀ = bᵀ aᵀ, in the type of sums; then the epilogue, which rounds once.
template <class Sum, class D>
void multiply(const Problem& p, double alpha, const void* a, const void* b, double beta, D* d) {
  static const loragrad::DevicePtr processor = loragrad::cpu_device(1);
  auto rows = [](const void* data, const Layout& l) {
    return loragrad::ConstMatrix{data, dtype_of(l.type), l.cols, l.rows, l.ld};
  };
  std::vector<Sum> sums(static_cast<std::size_t>(p.m * p.n));
  processor->kernels().gemm(*processor, {.c = {sums.data(), loragrad::dtype_of<Sum>, p.n, p.m, p.m},
                                         .a = rows(b, p.b),
                                         .b = rows(a, p.a),
                                         .transpose_a = p.operation.transpose_b != 0,
                                         .transpose_b = p.operation.transpose_a != 0});
  auto* bias = static_cast<const D*>(p.operation.bias);
  for (std::int64_t i = 0; i < p.n; ++i)
    for (std::int64_t j = 0; j < p.m; ++j) {
      D& to = d[i * p.d.ld + j];
      Sum value = static_cast<Sum>(alpha) * sums[static_cast<std::size_t>(i * p.m + j)];
      if (beta != 0) value += static_cast<Sum>(beta) * static_cast<Sum>(to);
      if (bias) value += static_cast<Sum>(bias[j]);
      to = static_cast<D>(value);
    }
}
void multiply(const Problem& p, double alpha, const void* a, const void* b, double beta, void* d) {
  if (p.d.type == CUDA_R_64F) return multiply<double>(p, alpha, a, b, beta, static_cast<double*>(d));
  if (p.d.type == CUDA_R_32F) return multiply<float>(p, alpha, a, b, beta, static_cast<float*>(d));
  multiply<float>(p, alpha, a, b, beta, static_cast<bf16*>(d));
}

template <class T>
void read_value(T& to, const void* value, std::size_t bytes) {
  demand(bytes == sizeof(T), "an attribute of another size");
  std::memcpy(&to, value, bytes);
}

}  // namespace

cuda_emulation::LibraryCalls& cuda_emulation::library_calls() {
  static LibraryCalls calls;
  return calls;
}

cublasStatus_t cublasLtCreate(cublasLtHandle_t* handle) {
  *handle = new cublasLtContext;
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtDestroy(cublasLtHandle_t handle) {
  delete handle;
  return CUBLAS_STATUS_SUCCESS;
}
const char* cublasLtGetStatusName(cublasStatus_t status) {
  return status == CUBLAS_STATUS_SUCCESS         ? "CUBLAS_STATUS_SUCCESS"
         : status == CUBLAS_STATUS_INVALID_VALUE ? "CUBLAS_STATUS_INVALID_VALUE"
                                                 : "CUBLAS_STATUS_NOT_SUPPORTED";
}
std::size_t cublasLtGetVersion() { return 130000; }

cublasStatus_t cublasLtMatmulDescCreate(cublasLtMatmulDesc_t* operation, cublasComputeType_t compute,
                                        cudaDataType_t scale) {
  *operation = new cublasLtMatmulDescOpaque_t{.compute = compute, .scale = scale};
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatmulDescDestroy(cublasLtMatmulDesc_t operation) {
  delete operation;
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatmulDescSetAttribute(cublasLtMatmulDesc_t operation, cublasLtMatmulDescAttributes_t attribute,
                                              const void* value, std::size_t bytes) {
  switch (attribute) {
    case CUBLASLT_MATMUL_DESC_TRANSA:
      read_value(operation->transpose_a, value, bytes);
      break;
    case CUBLASLT_MATMUL_DESC_TRANSB:
      read_value(operation->transpose_b, value, bytes);
      break;
    case CUBLASLT_MATMUL_DESC_EPILOGUE:
      read_value(operation->epilogue, value, bytes);
      break;
    case CUBLASLT_MATMUL_DESC_BIAS_POINTER:
      read_value(operation->bias, value, bytes);
      break;
  }
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatrixLayoutCreate(cublasLtMatrixLayout_t* layout, cudaDataType type, std::uint64_t rows,
                                          std::uint64_t cols, std::int64_t ld) {
  demand(rows > 0 && cols > 0, "an empty matrix");
  demand(ld >= static_cast<std::int64_t>(rows), "columns that lie closer than they are long");
  *layout = new Layout{type, static_cast<std::int64_t>(rows), static_cast<std::int64_t>(cols), ld};
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatrixLayoutDestroy(cublasLtMatrixLayout_t layout) {
  delete layout;
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulPreferenceCreate(cublasLtMatmulPreference_t* preference) {
  *preference = new cublasLtMatmulPreferenceOpaque_t;
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatmulPreferenceDestroy(cublasLtMatmulPreference_t preference) {
  delete preference;
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatmulPreferenceSetAttribute(cublasLtMatmulPreference_t preference,
                                                    cublasLtMatmulPreferenceAttributes_t attribute, const void* value,
                                                    std::size_t bytes) {
  if (attribute == CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES)
    read_value(preference->workspace, value, bytes);
  else if (attribute == CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK)
    read_value(preference->reductions, value, bytes);
  else
    read_value(preference->alignments[attribute - CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES], value, bytes);
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulAlgoGetHeuristic(cublasLtHandle_t, cublasLtMatmulDesc_t operation,
                                              cublasLtMatrixLayout_t a, cublasLtMatrixLayout_t b,
                                              cublasLtMatrixLayout_t c, cublasLtMatrixLayout_t d,
                                              cublasLtMatmulPreference_t preference, int most,
                                              cublasLtMatmulHeuristicResult_t* results, int* count) {
  ++cuda_emulation::library_calls().asked;
  Problem p(*operation, *a, *b, *c, *d);
  const std::uint32_t* alignments = preference->alignments;
  demand(most > 0, "no algorithm was asked for");
  demand(preference->reductions == CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE, "reductions that round or race");
  demand(alignments[2] == alignments[3], "c and d are one");
  *count = 0;
  // The manual has no list of what has no kernel. Here it is the oddest of matrices, and some with a bias.
  if (a->type == CUDA_R_16BF && a->ld % 2 != 0 && alignments[0] == 2) return CUBLAS_STATUS_NOT_SUPPORTED;
  if (operation->bias && p.m % 5 == 0) return CUBLAS_STATUS_NOT_SUPPORTED;
  Algorithm algorithm{.kind = p.kind(),
                      .m = p.m,
                      .n = p.n,
                      .k = p.k,
                      .workspace = p.k > 64 ? preference->workspace : 0,
                      .alignments = {alignments[0], alignments[1], alignments[3], alignment_of(operation->bias)}};
  results[0] = {};
  results[0].workspaceSize = algorithm.workspace;
  std::memcpy(&results[0].algo, &algorithm, sizeof algorithm);
  *count = 1;
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulAlgoCheck(cublasLtHandle_t, cublasLtMatmulDesc_t operation, cublasLtMatrixLayout_t a,
                                       cublasLtMatrixLayout_t b, cublasLtMatrixLayout_t c, cublasLtMatrixLayout_t d,
                                       const cublasLtMatmulAlgo_t* chosen, cublasLtMatmulHeuristicResult_t* result) {
  ++cuda_emulation::library_calls().checked;
  Algorithm algorithm = read(*chosen);
  result->workspaceSize = algorithm.workspace;
  return algorithm.takes(Problem(*operation, *a, *b, *c, *d)) ? CUBLAS_STATUS_SUCCESS : CUBLAS_STATUS_NOT_SUPPORTED;
}

cublasStatus_t cublasLtMatmul(cublasLtHandle_t, cublasLtMatmulDesc_t operation, const void* alpha, const void* a,
                              cublasLtMatrixLayout_t a_layout, const void* b, cublasLtMatrixLayout_t b_layout,
                              const void* beta, const void* c, cublasLtMatrixLayout_t c_layout, void* d,
                              cublasLtMatrixLayout_t d_layout, const cublasLtMatmulAlgo_t* chosen, void* workspace,
                              std::size_t workspace_bytes, cudaStream_t stream) {
  ++cuda_emulation::library_calls().multiplied;
  Problem p(*operation, *a_layout, *b_layout, *c_layout, *d_layout);
  Algorithm algorithm = read(*chosen);
  demand(algorithm.takes(p), "an algorithm of another problem");
  demand(c == d, "c and d lie apart");
  const void* addresses[] = {a, b, d, operation->bias};
  for (int i = 0; i < 4; ++i)
    demand(address(addresses[i]) % algorithm.alignments[i] == 0, "an operand that is less aligned than was promised");
  if (workspace_bytes < algorithm.workspace) return CUBLAS_STATUS_INVALID_VALUE;
  demand(address(workspace) % 256 == 0, "a workspace at no multiple of 256");
  auto scalar = [&](const void* value) {
    return operation->scale == CUDA_R_64F ? *static_cast<const double*>(value)
                                          : double{*static_cast<const float*>(value)};
  };
  cuda_emulation::enqueue(stream, [=, alpha = scalar(alpha), beta = scalar(beta)] {
    // Its two ends, as it may have them: all of it would take longer than the product.
    constexpr std::size_t end = 4096;
    if (algorithm.workspace >= end)
      for (std::size_t at : {std::size_t{0}, algorithm.workspace - end})
        std::memset(static_cast<unsigned char*>(workspace) + at, 0xff, end);
    multiply(p, alpha, a, b, beta, d);
  });
  return CUBLAS_STATUS_SUCCESS;
}

const loragrad::cuda::CublasLt& loragrad::cuda::cublaslt() {
#define FUNCTION(name) .name = cublasLt##name,
  static constexpr CublasLt functions{LORAGRAD_CUBLASLT_FUNCTIONS(FUNCTION)};
#undef FUNCTION
  return functions;
}
