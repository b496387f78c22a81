#pragma once
#include "ops/cuda/dropout_mask.h"
#include "ops/cuda/philox.h"
#include "ops/cuda/ptx.h"
#include "ops/cuda/values.h"

/// What the tensor core kernels of thin products share: tiles in shared memory, in chunks of eight columns (16 bytes).
///
/// A fragment of the tensor cores wants columns 2t, 2t+1 of every eight in lane t of four, memory gives a lane eight
/// neighbours. Summing over columns in any order is the same sum, and columns of c may be computed in any order: so the
/// fragments' indices are permuted in both operands alike. Of 32 columns lane t of four has 8t .. 8t+7; as columns of
/// fragments they are the pairs 2t, 2t+1 of four groups of eight.
namespace loragrad::cuda {

/// Where column 8t + 2i + e of 32 stands, 8i + 2t + e.
__device__ constexpr int thin_place(int column) {
  return (column & ~31) | (column >> 1 & 3) << 3 | (column >> 3 & 3) << 1 | (column & 1);
}

/// A matrix in device memory that is read as bf16, with zeroes around it.
struct ThinSource {
  ThinSource() = default;
  explicit ThinSource(const ConstMatrix& m)
      : data(m.data), rows(m.rows), cols(m.cols), stride(m.stride), is_f32(m.dtype == DType::f32) {
    aligned = !is_f32 && reinterpret_cast<std::uintptr_t>(data) % 16 == 0 && (rows <= 1 || stride % 8 == 0);
  }

  __device__ const bf16* address(std::int64_t row, std::int64_t col) const {
    return static_cast<const bf16*>(data) + row * stride + col;
  }
  __device__ std::uint32_t element(std::int64_t row, std::int64_t col) const {
    if (row >= rows || col >= cols) return 0;
    return is_f32 ? bf16(static_cast<const float*>(data)[row * stride + col]).bits : address(row, col)->bits;
  }
  __device__ std::uint32_t pair(std::int64_t row, std::int64_t col) const {
    return element(row, col) | element(row, col + 1) << 16;
  }
  __device__ uint4 chunk(std::int64_t row, std::int64_t col) const {
    if (aligned && row < rows && col + 8 <= cols) return *reinterpret_cast<const uint4*>(address(row, col));
    return {pair(row, col), pair(row, col + 2), pair(row, col + 4), pair(row, col + 6)};
  }

  const void* data = nullptr;
  std::int64_t rows = 0, cols = 0, stride = 0;
  bool is_f32 = false, aligned = false;
};

/// Copies rows x chunks from (row, col) on, by all threads of the block: chunk c of row r to place(r, c).
template <class Place>
__device__ inline void copy_tile(const ThinSource& from, std::int64_t row, std::int64_t col, int rows, int chunks,
                                 Place place) {
  unsigned across = chunks <= 2 ? 2 : chunks <= 4 ? 4 : chunks <= 8 ? 8 : chunks <= 16 ? 16 : 64;
  auto c = static_cast<int>(threadIdx.x % across), first = static_cast<int>(threadIdx.x / across),
       step = static_cast<int>(blockDim.x / across);
  const bf16* address = from.address(row, col) + (first * from.stride + 8 * c);
  if (from.aligned && row + rows <= from.rows && col + 8 * chunks <= from.cols) {
    if (c < chunks)
      for (int r = first; r < rows; r += step, address += step * from.stride) copy_async(place(r, c), address, true);
    return;
  }
  // A tile beyond the matrix's edge, or one that is not aligned.
  if (c >= chunks) return;
  std::int64_t left = from.cols - (col + 8 * c);
  for (int r = first; r < rows; r += step, address += step * from.stride) {
    bf16* to = place(r, c);
    if (from.aligned && (left >= 8 || left <= 0)) {
      copy_async(to, address, left > 0 && row + r < from.rows);
      continue;
    }
#pragma unroll 1
    for (int i = 0; i < 8; i += 2) *reinterpret_cast<std::uint32_t*>(to + i) = from.pair(row + r, col + 8 * c + i);
  }
}

__device__ inline void read_chunk(std::uint32_t (&words)[4], const bf16* from) {
  uint4 all = *reinterpret_cast<const uint4*>(from);
  words[0] = all.x, words[1] = all.y, words[2] = all.z, words[3] = all.w;
}

/// Row in the step and position of a token: what its mask is drawn of.
struct alignas(8) ThinToken {
  std::uint32_t row = 0, position = 0;
};

/// Tokens as they are copied to shared memory: as one row of 16-bit words.
constexpr int thin_token_size = sizeof(ThinToken) / sizeof(bf16);
inline ThinSource token_source(const MaskArgs& mask, std::int64_t tokens) {
  std::int64_t cols = thin_token_size * tokens;
  return ThinSource({mask.tokens, DType::bf16, 1, cols, cols});
}

/// Dropout with the scale left out, which goes into the product's alpha.
class ThinMask {
 public:
  __device__ explicit ThinMask(const MaskArgs& mask)
      : tokens_(mask.tokens), key_(mask.key), last_((mask.threshold << 16) - 1), on_(mask.threshold > 0) {}
  __device__ bool on() const { return on_; }
  __device__ ThinToken token(std::int64_t row) const {
    return {static_cast<std::uint32_t>(tokens_[2 * row]), static_cast<std::uint32_t>(tokens_[2 * row + 1])};
  }
  /// Which of columns 8 group .. 8 group + 7 stay: ones in a bf16's bits, two a word.
  __device__ void draw(std::uint32_t (&keep)[4], ThinToken token, std::int64_t group) const {
    std::uint32_t draws[4] = {token.row, token.position, static_cast<std::uint32_t>(group), 0};
    philox_words(draws, key_);
    // A draw in the upper half of a word is below the threshold if the word is, whatever the lower half.
#pragma unroll
    for (int i = 0; i < 4; ++i)
      keep[i] = (draws[i] > last_ ? 0xffff0000u : 0u) | (draws[i] << 16 > last_ ? 0x0000ffffu : 0u);
  }
  __device__ void drop(std::uint32_t (&x)[4], ThinToken token, std::int64_t group) const {
    std::uint32_t keep[4];
    draw(keep, token, group);
#pragma unroll
    for (int i = 0; i < 4; ++i) x[i] &= keep[i];
  }

 private:
  const std::int32_t* tokens_;
  std::uint64_t key_;
  std::uint32_t last_;  // of the words whose upper draw is dropped
  bool on_;
};

/// use(step) for all steps in order, while fill(step) of the next `stages` - 1 is under way: each has a stage of shared
/// memory by itself, which the block shares.
template <int stages, class Fill, class Use>
__device__ inline void run_stages(int steps, const Fill& fill, const Use& use) {
  for (int step = 0; step < stages - 1; ++step) {
    if (step < steps) fill(step);
    copies_commit();
  }
  for (int step = 0; step < steps; ++step) {
    copies_wait<stages - 2>();
    __syncthreads();
    if (step + stages - 1 < steps) fill(step + stages - 1);
    copies_commit();
    use(step);
  }
}

}  // namespace loragrad::cuda
