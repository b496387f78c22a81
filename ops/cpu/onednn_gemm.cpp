#include <omp.h>
#include <dnnl.hpp>

#include <array>
#include <bit>
#include <map>
#include <mutex>
#include <string>
#include <unordered_map>

#include "engine/error.h"
#include "ops/cpu/gemm_library.h"
#include "ops/cpu/onednn_matmul.h"

namespace loragrad::cpu {
namespace {

/// oneDNN's OpenMP team is one thread for the scope: the parallelism is ours. The setting belongs to the calling
/// thread.
class OneThread {
 public:
  OneThread() : before_(omp_get_max_threads()) {
    if (before_ != 1) omp_set_num_threads(1);
  }
  ~OneThread() {
    if (before_ != 1) omp_set_num_threads(before_);
  }

 private:
  int before_;
};

using Tag = dnnl::memory::data_type;
Tag tag_of(DType dtype) { return dtype == DType::bf16 ? Tag::bf16 : Tag::f32; }

const dnnl::engine& engine() {
  static const dnnl::engine cpu(dnnl::engine::kind::cpu, 0);
  return cpu;
}

struct CachedMatmul {
  dnnl::matmul primitive;
  dnnl::memory::desc a, b, c, bias;
};

CachedMatmul make_matmul(const GemmArgs& g, dnnl::memory::dim k) {
  using Desc = dnnl::memory::desc;
  using Dims = dnnl::memory::dims;
  CachedMatmul m;
  m.a = Desc(Dims{g.c.rows, k}, tag_of(g.a.dtype), g.transpose_a ? Dims{1, g.a.stride} : Dims{g.a.stride, 1});
  m.b = Desc(Dims{k, g.c.cols}, tag_of(g.b.dtype), g.transpose_b ? Dims{1, g.b.stride} : Dims{g.b.stride, 1});
  m.c = Desc(Dims{g.c.rows, g.c.cols}, tag_of(g.c.dtype), Dims{g.c.stride, 1});
  dnnl::primitive_attr attributes;
  dnnl::post_ops after;
  if (g.alpha != 1)
    after.append_eltwise(
#if DNNL_VERSION_MAJOR < 3
        1.f,
#endif
        dnnl::algorithm::eltwise_linear, static_cast<float>(g.alpha), 0.f);
  if (g.beta != 0) after.append_sum(static_cast<float>(g.beta));
  attributes.set_post_ops(after);
  if (g.bias) m.bias = Desc(Dims{1, g.c.cols}, Tag::f32, Dims{g.c.cols, 1});
#if DNNL_VERSION_MAJOR < 3
  auto operation = g.bias ? dnnl::matmul::desc(m.a, m.b, m.bias, m.c) : dnnl::matmul::desc(m.a, m.b, m.c);
  m.primitive = dnnl::matmul(dnnl::matmul::primitive_desc(operation, attributes, engine()));
#else
  m.primitive = dnnl::matmul(g.bias ? dnnl::matmul::primitive_desc(engine(), m.a, m.b, m.bias, m.c, attributes)
                                    : dnnl::matmul::primitive_desc(engine(), m.a, m.b, m.c, attributes));
#endif
  return m;
}

/// A primitive is generated code for one shape; making it takes most of a millisecond, so each shape is made once.
const CachedMatmul& matmul_for(const GemmArgs& g, dnnl::memory::dim k) {
  using Key = std::array<std::int64_t, 13>;
  static std::mutex mutex;
  static std::map<Key, CachedMatmul> cache;
  Key key{g.c.rows,
          g.c.cols,
          k,
          g.a.stride,
          g.b.stride,
          g.c.stride,
          g.transpose_a,
          g.transpose_b,
          static_cast<std::int64_t>(g.a.dtype),
          static_cast<std::int64_t>(g.c.dtype),
          g.bias != nullptr,
          static_cast<std::int64_t>(g.beta),
          static_cast<std::int64_t>(std::bit_cast<std::uint64_t>(g.alpha))};
  std::lock_guard lock(mutex);
  auto found = cache.find(key);
  if (found == cache.end()) found = cache.emplace(key, make_matmul(g, k)).first;
  return found->second;  // a map's values do not move
}

}  // namespace

void onednn_matmul(const GemmArgs& g) {
  // Bias stands outside alpha in our contract; the library's alpha scales the bias too.
  if (g.bias && g.alpha != 1) throw UsageError("gemm: bias together with alpha");
  OneThread one_thread;
  const CachedMatmul& m = matmul_for(g, g.transpose_a ? g.a.rows : g.a.cols);
  thread_local dnnl::stream stream(engine());
  auto memory = [](const dnnl::memory::desc& desc, const void* data) {
    return dnnl::memory(desc, engine(), const_cast<void*>(data));
  };
  std::unordered_map<int, dnnl::memory> arguments{{DNNL_ARG_SRC, memory(m.a, g.a.data)},
                                                  {DNNL_ARG_WEIGHTS, memory(m.b, g.b.data)},
                                                  {DNNL_ARG_DST, memory(m.c, g.c.data)}};
  if (g.bias) arguments.emplace(DNNL_ARG_BIAS, memory(m.bias, g.bias));
  m.primitive.execute(stream, arguments);
  stream.wait();
}

void library_gemm(const GemmArgs& g) {
  if (g.c.dtype == DType::f64) return blas_gemm_f64(g);
  OneThread one_thread;
  dnnl_status_t status = dnnl_sgemm(
      g.transpose_a ? 'T' : 'N', g.transpose_b ? 'T' : 'N', g.c.rows, g.c.cols, g.transpose_a ? g.a.rows : g.a.cols,
      static_cast<float>(g.alpha), static_cast<const float*>(g.a.data), g.a.stride, static_cast<const float*>(g.b.data),
      g.b.stride, static_cast<float>(g.beta), static_cast<float*>(g.c.data), g.c.stride);
  if (status != dnnl_success)
    throw UsageError("gemm: oneDNN refused the product (status " + std::to_string(status) + ")");
}

void library_gemm_bf16(const GemmArgs& g) { onednn_matmul(g); }

bool library_has_bf16() {
  // The values are bit sets that grow with the instruction set; ONEDNN_MAX_CPU_ISA is honoured by the library.
  auto isa = static_cast<unsigned>(dnnl_get_effective_cpu_isa());
  auto bf16 = static_cast<unsigned>(dnnl_cpu_isa_avx512_core_bf16);
  return (isa & bf16) == bf16;
}

std::string_view library_name() {
  static const std::string name = [] {
    const dnnl_version_t* v = dnnl_version();
    return "oneDNN " + std::to_string(v->major) + "." + std::to_string(v->minor) + "." + std::to_string(v->patch);
  }();
  return name;
}

}  // namespace loragrad::cpu
