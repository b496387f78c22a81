#include <omp.h>
#include <array>
#include <dnnl.hpp>
#include <map>

#include "bench/library_products.h"

namespace loragrad::bench {
namespace {

struct Matmul {
  dnnl::matmul primitive;
  dnnl::memory::desc a, b, c, bias;
};

const dnnl::engine& engine() {
  static const dnnl::engine cpu(dnnl::engine::kind::cpu, 0);
  return cpu;
}

Matmul make_matmul(const GemmArgs& g) {
  using Desc = dnnl::memory::desc;
  using Dims = dnnl::memory::dims;
  auto type = [](DType dtype) {
    return dtype == DType::bf16 ? dnnl::memory::data_type::bf16 : dnnl::memory::data_type::f32;
  };
  auto strides = [](bool transposed, std::int64_t stride) { return transposed ? Dims{1, stride} : Dims{stride, 1}; };
  std::int64_t m = g.c.rows, n = g.c.cols, k = g.transpose_a ? g.a.rows : g.a.cols;
  Matmul matmul;
  matmul.a = Desc(Dims{m, k}, type(g.a.dtype), strides(g.transpose_a, g.a.stride));
  matmul.b = Desc(Dims{k, n}, type(g.b.dtype), strides(g.transpose_b, g.b.stride));
  matmul.c = Desc(Dims{m, n}, type(g.c.dtype), Dims{g.c.stride, 1});
  if (g.bias) matmul.bias = Desc(Dims{1, n}, type(DType::f32), Dims{n, 1});
  dnnl::post_ops after;
  if (g.beta != 0) after.append_sum(static_cast<float>(g.beta));
  dnnl::primitive_attr attributes;
  attributes.set_post_ops(after);
#if DNNL_VERSION_MAJOR < 3
  auto operation = g.bias ? dnnl::matmul::desc(matmul.a, matmul.b, matmul.bias, matmul.c)
                          : dnnl::matmul::desc(matmul.a, matmul.b, matmul.c);
  matmul.primitive = dnnl::matmul(dnnl::matmul::primitive_desc(operation, attributes, engine()));
#else
  matmul.primitive = dnnl::matmul(
      g.bias ? dnnl::matmul::primitive_desc(engine(), matmul.a, matmul.b, matmul.bias, matmul.c, attributes)
             : dnnl::matmul::primitive_desc(engine(), matmul.a, matmul.b, matmul.c, attributes));
#endif
  return matmul;
}

const Matmul& matmul_for(const GemmArgs& g) {
  using Key = std::array<std::int64_t, 12>;
  static std::map<Key, Matmul> made;
  Key key{g.c.rows,
          g.c.cols,
          g.transpose_a ? g.a.rows : g.a.cols,
          g.a.stride,
          g.b.stride,
          g.c.stride,
          g.transpose_a,
          g.transpose_b,
          static_cast<std::int64_t>(g.a.dtype),
          static_cast<std::int64_t>(g.c.dtype),
          g.bias != nullptr,
          g.beta != 0};
  auto found = made.find(key);
  return found != made.end() ? found->second : made.emplace(key, make_matmul(g)).first->second;
}

}  // namespace

bool library_takes(const GemmArgs& g) {
  auto isa = static_cast<unsigned>(dnnl_get_effective_cpu_isa());
  auto bf16 = static_cast<unsigned>(dnnl_cpu_isa_avx512_core_bf16);
  return g.a.dtype == g.b.dtype && (g.a.dtype == DType::f32 || (g.a.dtype == DType::bf16 && (isa & bf16) == bf16));
}

void library_product(const GemmArgs& g, int threads) {
  int before = omp_get_max_threads();
  omp_set_num_threads(threads);
  const Matmul& matmul = matmul_for(g);
  static dnnl::stream stream(engine());
  auto memory = [](const dnnl::memory::desc& desc, const void* data) {
    return dnnl::memory(desc, engine(), const_cast<void*>(data));
  };
  std::unordered_map<int, dnnl::memory> arguments{{DNNL_ARG_SRC, memory(matmul.a, g.a.data)},
                                                  {DNNL_ARG_WEIGHTS, memory(matmul.b, g.b.data)},
                                                  {DNNL_ARG_DST, memory(matmul.c, g.c.data)}};
  if (g.bias) arguments.emplace(DNNL_ARG_BIAS, memory(matmul.bias, g.bias));
  matmul.primitive.execute(stream, arguments);
  stream.wait();
  omp_set_num_threads(before);
}

}  // namespace loragrad::bench
