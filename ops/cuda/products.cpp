#include "ops/cuda/products.h"

#include <algorithm>
#include <bit>
#include <string>

#include "engine/error.h"
#include "engine/random.h"
#include "ops/cuda/gpu.h"
#include "ops/cuda/kernels.h"

namespace loragrad::cuda {
namespace {

using Index = std::int64_t;

void check(cublasStatus_t status, const std::string& what) {
  if (status != CUBLAS_STATUS_SUCCESS)
    throw IoError("cuda: " + what + ": " + cublaslt().GetStatusName(status) + " from cuBLASLt");
}

cudaDataType_t cuda_type(DType dtype) {
  return dtype == DType::f64 ? CUDA_R_64F : dtype == DType::bf16 ? CUDA_R_16BF : CUDA_R_32F;
}

/// Operands and result as the library has kernels for them.
bool takes(const GemmArgs& g) {
  if (g.a.dtype == DType::bf16) return g.c.dtype == DType::bf16 || g.c.dtype == DType::f32;
  return g.c.dtype == g.a.dtype;
}

constexpr unsigned most_alignment = 256, bias_alignment = 16;
unsigned alignment_of(const void* p) {
  auto address = reinterpret_cast<std::uintptr_t>(p);
  return address == 0 ? most_alignment
                      : static_cast<unsigned>(std::min<std::uintptr_t>(address & -address, most_alignment));
}

/// One row may have any stride; the library wants one that is no less than what it spans.
Index stride_of(const ConstMatrix& m) { return std::max(m.stride, m.cols); }

template <class T>
struct Owned {
  ~Owned() {
    if (value) destroy(value);
  }
  T value = nullptr;
  cublasStatus_t (*destroy)(T);
};

}  // namespace

/// The library's matrices go down columns, so it is asked for cᵀ = op(b)ᵀ op(a)ᵀ: its first operand is b as it lies, read
/// as bᵀ, its second a, and the bias goes down the columns of cᵀ.
class Products::Descriptors {
 public:
  Descriptors(const Problem& p, const void* bias, bool tf32)
      : wide_(p.type == DType::f64),
        operation_{.destroy = library_.MatmulDescDestroy},
        a_{.destroy = library_.MatrixLayoutDestroy},
        b_{.destroy = library_.MatrixLayoutDestroy},
        c_{.destroy = library_.MatrixLayoutDestroy} {
    cublasComputeType_t compute = wide_                          ? CUBLAS_COMPUTE_64F
                                  : p.type == DType::f32 && tf32 ? CUBLAS_COMPUTE_32F_FAST_TF32
                                                                 : CUBLAS_COMPUTE_32F;
    check(library_.MatmulDescCreate(&operation_.value, compute, wide_ ? CUDA_R_64F : CUDA_R_32F), "product");
    auto set = [&](cublasLtMatmulDescAttributes_t attribute, const auto& value) {
      check(library_.MatmulDescSetAttribute(operation_.value, attribute, &value, sizeof value), "product");
    };
    set(CUBLASLT_MATMUL_DESC_TRANSA, p.transpose_b ? CUBLAS_OP_T : CUBLAS_OP_N);
    set(CUBLASLT_MATMUL_DESC_TRANSB, p.transpose_a ? CUBLAS_OP_T : CUBLAS_OP_N);
    if (p.bias) {
      set(CUBLASLT_MATMUL_DESC_EPILOGUE, CUBLASLT_EPILOGUE_BIAS);
      set(CUBLASLT_MATMUL_DESC_BIAS_POINTER, bias);
    }
    auto layout = [&](Owned<cublasLtMatrixLayout_t>& to, DType dtype, Index rows, Index cols, Index stride) {
      check(library_.MatrixLayoutCreate(&to.value, cuda_type(dtype), static_cast<std::uint64_t>(cols),
                                        static_cast<std::uint64_t>(rows), stride),
            "product");
    };
    layout(a_, p.type, p.transpose_a ? p.k : p.m, p.transpose_a ? p.m : p.k, p.stride_a);
    layout(b_, p.type, p.transpose_b ? p.n : p.k, p.transpose_b ? p.k : p.n, p.stride_b);
    layout(c_, p.result, p.m, p.n, p.stride_c);
  }

  cublasStatus_t ask(cublasLtHandle_t handle, const Problem& p, std::size_t workspace,
                     cublasLtMatmulHeuristicResult_t& answer) const {
    Owned<cublasLtMatmulPreference_t> preference{.destroy = library_.MatmulPreferenceDestroy};
    check(library_.MatmulPreferenceCreate(&preference.value), "product");
    auto set = [&](cublasLtMatmulPreferenceAttributes_t attribute, const auto& value) {
      check(library_.MatmulPreferenceSetAttribute(preference.value, attribute, &value, sizeof value), "product");
    };
    set(CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, std::uint64_t{workspace});
    // Parts of a sum would be rounded to c's type by the others, or added where c lies.
    set(CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK, std::uint32_t{CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE});
    set(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, std::uint32_t{p.alignment_b});
    set(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, std::uint32_t{p.alignment_a});
    set(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, std::uint32_t{p.alignment_c});
    set(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, std::uint32_t{p.alignment_c});
    int count = 0;
    cublasStatus_t status = library_.MatmulAlgoGetHeuristic(handle, operation_.value, b_.value, a_.value, c_.value,
                                                            c_.value, preference.value, 1, &answer, &count);
    if (status != CUBLAS_STATUS_SUCCESS) return status;
    return count > 0 ? answer.state : CUBLAS_STATUS_NOT_SUPPORTED;
  }

  cublasStatus_t check_algorithm(cublasLtHandle_t handle, const cublasLtMatmulAlgo_t& algorithm,
                                 cublasLtMatmulHeuristicResult_t& answer) const {
    return library_.MatmulAlgoCheck(handle, operation_.value, b_.value, a_.value, c_.value, c_.value, &algorithm,
                                    &answer);
  }

  cublasStatus_t multiply(cublasLtHandle_t handle, const GemmArgs& g, const cublasLtMatmulAlgo_t& algorithm,
                          void* workspace, std::size_t workspace_bytes, cudaStream_t stream) const {
    auto run = [&](const auto& alpha, const auto& beta) {
      return library_.Matmul(handle, operation_.value, &alpha, g.b.data, b_.value, g.a.data, a_.value, &beta, g.c.data,
                             c_.value, g.c.data, c_.value, &algorithm, workspace, workspace_bytes, stream);
    };
    return wide_ ? run(g.alpha, g.beta) : run(static_cast<float>(g.alpha), static_cast<float>(g.beta));
  }

 private:
  const CublasLt& library_ = cublaslt();
  bool wide_;
  Owned<cublasLtMatmulDesc_t> operation_;
  Owned<cublasLtMatrixLayout_t> a_, b_, c_;
};

Products::Products(void* workspace, std::size_t bytes, bool tf32)
    : library_(cublaslt()),
      workspace_(workspace),
      bias_(static_cast<std::byte*>(workspace) + bytes - bias_bytes),
      library_bytes_(bytes - bias_bytes),
      tf32_(tf32) {
  check(library_.Create(&handle_), "products");
}

Products::~Products() { library_.Destroy(handle_); }

std::size_t Products::Hash::operator()(const Problem& p) const {
  auto u = [](auto value) { return static_cast<std::uint64_t>(value); };
  std::uint64_t small = u(p.type) | u(p.result) << 8 | u(p.transpose_a) << 16 | u(p.transpose_b) << 17 |
                        u(p.bias) << 18 | u(std::countr_zero(p.alignment_a)) << 20 |
                        u(std::countr_zero(p.alignment_b)) << 24 | u(std::countr_zero(p.alignment_c)) << 28 |
                        u(std::countr_zero(p.alignment_bias)) << 32;
  return mix(mix(u(p.m), u(p.n), u(p.k), small), u(p.stride_a), u(p.stride_b), u(p.stride_c));
}

Products::Problem Products::problem_of(const GemmArgs& g) {
  return {.m = g.c.rows,
          .n = g.c.cols,
          .k = inner(g),
          .stride_a = stride_of(g.a),
          .stride_b = stride_of(g.b),
          .stride_c = stride_of(g.c),
          .type = g.a.dtype,
          .result = g.c.dtype,
          .transpose_a = g.transpose_a,
          .transpose_b = g.transpose_b,
          .bias = g.bias != nullptr,
          .alignment_a = alignment_of(g.a.data),
          .alignment_b = alignment_of(g.b.data),
          .alignment_c = alignment_of(g.c.data),
          .alignment_bias = alignment_of(g.bias)};
}

/// With some more rows in the matrices whose rows are tokens: c and a, or a and b of a weight's gradient. Strides stay,
/// and with them all that an algorithm may build on.
Products::Problem Products::rounded(Problem p) {
  auto up = [](Index rows) {
    Index unit = rows < 1024 ? 64 : 128;
    return (rows + unit - 1) / unit * unit;
  };
  if (!p.transpose_a)
    p.m = up(p.m);
  else if (!p.transpose_b)
    p.k = up(p.k);
  return p;
}

Products::Choice Products::ask(const Problem& problem, const void* bias) {
  cublasLtMatmulHeuristicResult_t answer{};
  bool found = Descriptors(problem, bias, tf32_).ask(handle_, problem, library_bytes_, answer) == CUBLAS_STATUS_SUCCESS;
  return {answer.algo, found};
}

bool Products::fits(const Choice& choice, const Problem& problem, const void* bias) {
  cublasLtMatmulHeuristicResult_t answer{};
  return choice.found &&
         Descriptors(problem, bias, tf32_).check_algorithm(handle_, choice.algorithm, answer) ==
             CUBLAS_STATUS_SUCCESS &&
         answer.workspaceSize <= library_bytes_;
}

/// The algorithm of the rounded problem where the library says that it fits; so it never depends on what was multiplied
/// before.
const Products::Choice& Products::choose(const Problem& problem, const void* bias) {
  if (auto known = choices_.find(problem); known != choices_.end()) return known->second;
  Choice choice;
  if (Problem near = rounded(problem); near != problem) choice = choose(near, bias);
  if (!fits(choice, problem, bias)) choice = ask(problem, bias);
  return choices_.emplace(problem, choice).first->second;
}

/// The epilogue adds a bias of c's type. What is not, or does not begin where vectors may be read, is copied to a place
/// of its own: the stream lets no product before this one see it.
const void* Products::bias_in_type_of_c(Device& device, const GemmArgs& g) {
  DType wide = accumulation_type(g.c.dtype);
  if (!g.bias || (g.c.dtype == wide && alignment_of(g.bias) >= bias_alignment)) return g.bias;
  Index n = g.c.cols;
  accumulate(device, {{g.bias, wide, 1, n, n}, 1, {bias_, g.c.dtype, 1, n, n}, 0});
  return bias_;
}

void Products::multiply(Device& device, const GemmArgs& g) {
  if (!takes(g)) return multiply_plainly(device, g);
  if (g.bias && bytes_of(g.c.dtype, g.c.cols) > bias_bytes) return multiply_onto_bias(device, g);
  cudaStream_t stream = gpu_of(device).stream();  // of the device that the library is asked for
  GemmArgs product = g;
  product.bias = bias_in_type_of_c(device, g);
  Problem problem = problem_of(product);
  const Choice& choice = choose(problem, product.bias);
  if (!choice.found) return g.bias ? multiply_onto_bias(device, g) : multiply_plainly(device, g);
  check(Descriptors(problem, product.bias, tf32_)
            .multiply(handle_, product, choice.algorithm, workspace_, library_bytes_, stream),
        "product of [" + std::to_string(problem.m) + ", " + std::to_string(problem.k) + "] and [" +
            std::to_string(problem.k) + ", " + std::to_string(problem.n) + "]");
}

/// Where the epilogue cannot add the bias.
void Products::multiply_onto_bias(Device& device, GemmArgs g) {
  put_bias(device, g);
  g.bias = nullptr;
  g.beta = 1;
  multiply(device, g);
}

void put_bias(Device& device, const GemmArgs& g) {
  ConstMatrix bias{g.bias, accumulation_type(g.c.dtype), g.c.rows, g.c.cols, 0};
  accumulate(device, {g.bias ? bias : ConstMatrix(g.c), g.bias ? 1.0 : 0.0, g.c, g.beta});
}

}  // namespace loragrad::cuda
