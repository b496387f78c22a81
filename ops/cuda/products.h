#pragma once
#include <cstddef>
#include <cstdint>
#include <unordered_map>

#include "engine/kernels.h"
#include "ops/cuda/cublaslt.h"

namespace loragrad::cuda {

/// A GPU's products by cuBLASLt, with its workspace and the algorithms that it chose.
///
/// Equal calls give equal bits: the algorithm is the first answer of the library's model of its own speed, which depends
/// on the problem and nothing else, never on a measurement; and partial sums are added in an order of their own, in the
/// type of sums. A batch has any number of tokens, and to ask for each costs more than a small product, so for some
/// numbers of rows one algorithm is asked for and kept (`rounded`).
class Products {
 public:
  /// Of device memory: what the algorithms of the newest GPUs want at most, and room for a bias.
  static constexpr std::size_t bias_bytes = 1 << 20, workspace_bytes = (32 << 20) + bias_bytes;

  /// For the current GPU, with `bytes` of its memory, more than bias_bytes, from a multiple of 256 on. With `tf32`,
  /// operands of f32 products may be rounded to TF32. IoError where the library is not there or does not start.
  Products(void* workspace, std::size_t bytes, bool tf32);
  Products(const Products&) = delete;
  Products& operator=(const Products&) = delete;
  ~Products();

  /// c = alpha op(a) op(b) + bias + beta c, where a and b have one type, no dimension is 0, and there is no dropout.
  void multiply(Device& device, const GemmArgs& g);

 private:
  /// What an algorithm is chosen by.
  struct Problem {
    std::int64_t m = 0, n = 0, k = 0, stride_a = 0, stride_b = 0, stride_c = 0;
    DType type{}, result{};
    bool transpose_a = false, transpose_b = false, bias = false;
    unsigned alignment_a = 0, alignment_b = 0, alignment_c = 0, alignment_bias = 0;
    bool operator==(const Problem&) const = default;
  };
  struct Hash {
    std::size_t operator()(const Problem& p) const;
  };
  /// The library's descriptors of a problem.
  class Descriptors;
  /// An algorithm, or that the library has none.
  struct Choice {
    cublasLtMatmulAlgo_t algorithm{};
    bool found = false;
  };

  static Problem problem_of(const GemmArgs& g);
  static Problem rounded(Problem p);
  const void* bias_in_type_of_c(Device& device, const GemmArgs& g);
  void multiply_onto_bias(Device& device, GemmArgs g);
  const Choice& choose(const Problem& problem, const void* bias);
  Choice ask(const Problem& problem, const void* bias);
  bool fits(const Choice& choice, const Problem& problem, const void* bias);

  const CublasLt& library_;
  cublasLtHandle_t handle_ = nullptr;
  void *workspace_, *bias_;
  std::size_t library_bytes_;  // of the workspace
  bool tf32_;
  std::unordered_map<Problem, Choice, Hash> choices_;
};

/// c = bias + beta c: a product without its terms.
void put_bias(Device& device, const GemmArgs& g);

/// The same products for what the library does not take: any types, alignments and strides. Not fast.
void multiply_plainly(Device& device, const GemmArgs& g);

}  // namespace loragrad::cuda
