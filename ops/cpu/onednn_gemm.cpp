#include <omp.h>
#include <dnnl.hpp>

#include <algorithm>
#include <array>
#include <bit>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>

#include "engine/error.h"
#include "engine/memory_limit.h"
#include "ops/cpu/gemm_library.h"

namespace loragrad::cpu {
namespace {

/// oneDNN's OpenMP team has so many threads for the scope. The setting belongs to the calling thread.
class Team {
 public:
  explicit Team(int threads) : before_(omp_get_max_threads()), threads_(threads) {
    if (before_ != threads_) omp_set_num_threads(threads_);
  }
  ~Team() {
    if (before_ != threads_) omp_set_num_threads(before_);
  }

 private:
  int before_, threads_;
};

using Tag = dnnl::memory::data_type;
Tag tag_of(DType dtype) { return dtype == DType::bf16 ? Tag::bf16 : Tag::f32; }

const dnnl::engine& engine() {
  static const dnnl::engine cpu = [] {
    dnnl::set_primitive_cache_capacity(0);  // the library's own cache would hold 1024 primitives beside ours
    return dnnl::engine(dnnl::engine::kind::cpu, 0);
  }();
  return cpu;
}

bool has_isa(dnnl_cpu_isa_t wanted) {
  // The values are bit sets that grow with the instruction set; ONEDNN_MAX_CPU_ISA is honoured by the library.
  auto isa = static_cast<unsigned>(dnnl_get_effective_cpu_isa()), bits = static_cast<unsigned>(wanted);
  return (isa & bits) == bits;
}

/// The library maps 256 KiB for the code of each kernel, of which a product may have some tens, and writes there without
/// a look at whether it got them.
void require_code_room() { require_room(std::size_t{16} << 20, "the code of matrix products"); }

// Version 2 packs f32 operands where they are strided, by the code behind its sgemm. Version 3 multiplies them as they
// lie: slower where b, as it lies, is large (docs/design/005). Asked for by name, the packing code is still there; it
// is for these processors.
bool packs(const GemmArgs& g) {
  constexpr std::int64_t large = 1 << 16;
  bool all_f32 = g.a.dtype == DType::f32 && g.b.dtype == DType::f32 && g.c.dtype == DType::f32;
  return DNNL_VERSION_MAJOR >= 3 && all_f32 && !g.transpose_b && !g.bias && g.b.rows * g.b.cols >= large &&
         has_isa(dnnl_cpu_isa_avx2);
}

void packed_gemm(const GemmArgs& g) {
  static const bool has_room = (require_code_room(), true);  // the first call makes the code for all
  static_cast<void>(has_room);
  auto status = dnnl::sgemm(g.transpose_a ? 'T' : 'N', 'N', g.c.rows, g.c.cols, inner(g), static_cast<float>(g.alpha),
                            static_cast<const float*>(g.a.data), g.a.stride, static_cast<const float*>(g.b.data),
                            g.b.stride, static_cast<float>(g.beta), static_cast<float*>(g.c.data), g.c.stride);
  if (status != dnnl::status::success) throw dnnl::error(static_cast<dnnl_status_t>(status), "sgemm");
}

/// call(). The library's errors name neither it nor the product.
template <class Call>
auto with_product_named(const GemmArgs& g, Call call) {
  try {
    return call();
  } catch (const dnnl::error& error) {
    std::string shape;
    for (std::int64_t n : {g.c.rows, g.c.cols, inner(g)}) shape += (shape.empty() ? "" : " x ") + std::to_string(n);
    std::string text = "matrix products: oneDNN: " + std::string(error.what()) + ", for " + shape + limit_text();
    if (error.status == dnnl_out_of_memory) throw OutOfMemory(text);
    throw IoError(text);
  }
}

struct Matmul {
  dnnl::matmul primitive;
  dnnl::memory::desc a, b, c, bias, scratch;
  float alpha = 1;
};
using MatmulPtr = std::shared_ptr<const Matmul>;
using Arguments = std::unordered_map<int, dnnl::memory>;

// From version 3 on a scale is an argument of the call instead of a constant of the primitive.
#if DNNL_VERSION_MAJOR < 3
void set_scale(dnnl::primitive_attr& attributes, float alpha) { attributes.set_output_scales(0, {alpha}); }
void pass_scale(const Matmul&, Arguments&) {}
#else
void set_scale(dnnl::primitive_attr& attributes, float) { attributes.set_scales_mask(DNNL_ARG_WEIGHTS, 0); }
void pass_scale(const Matmul& m, Arguments& arguments) {
  if (m.alpha == 1) return;
  dnnl::memory::desc one(dnnl::memory::dims{1}, Tag::f32, dnnl::memory::dims{1});
  arguments.emplace(DNNL_ARG_ATTR_SCALES | DNNL_ARG_WEIGHTS, dnnl::memory(one, engine(), const_cast<float*>(&m.alpha)));
}
#endif

/// What the library would do, and in *m of what the operands consist.
dnnl::matmul::primitive_desc describe(const GemmArgs& g, Matmul* m) {
  dnnl::memory::dim k = inner(g);
  // Bias stands outside alpha in our contract; the library's alpha scales the bias too.
  if (g.bias && g.alpha != 1) throw UsageError("gemm: bias together with alpha");
  using Desc = dnnl::memory::desc;
  using Dims = dnnl::memory::dims;
  m->a = Desc(Dims{g.c.rows, k}, tag_of(g.a.dtype), g.transpose_a ? Dims{1, g.a.stride} : Dims{g.a.stride, 1});
  m->b = Desc(Dims{k, g.c.cols}, tag_of(g.b.dtype), g.transpose_b ? Dims{1, g.b.stride} : Dims{g.b.stride, 1});
  m->c = Desc(Dims{g.c.rows, g.c.cols}, tag_of(g.c.dtype), Dims{g.c.stride, 1});
  // alpha as a scale, not as a post-op: before a sum those have only a reference implementation.
  dnnl::primitive_attr attributes;
  m->alpha = static_cast<float>(g.alpha);
  if (g.alpha != 1) set_scale(attributes, m->alpha);
  dnnl::post_ops after;
  if (g.beta != 0) after.append_sum(static_cast<float>(g.beta));
  attributes.set_post_ops(after);
  attributes.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  if (g.bias) m->bias = Desc(Dims{1, g.c.cols}, Tag::f32, Dims{g.c.cols, 1});
#if DNNL_VERSION_MAJOR < 3
  auto operation = g.bias ? dnnl::matmul::desc(m->a, m->b, m->bias, m->c) : dnnl::matmul::desc(m->a, m->b, m->c);
  return {operation, attributes, engine()};
#else
  return g.bias ? dnnl::matmul::primitive_desc(engine(), m->a, m->b, m->bias, m->c, attributes)
                : dnnl::matmul::primitive_desc(engine(), m->a, m->b, m->c, attributes);
#endif
}

MatmulPtr make_matmul(const GemmArgs& g) {
  auto m = std::make_shared<Matmul>();
  dnnl::matmul::primitive_desc description = describe(g, m.get());
  m->primitive = dnnl::matmul(description);
  m->scratch = description.scratchpad_desc();
  return m;
}

using Key = std::array<std::int64_t, 14>;
Key key_of(const GemmArgs& g, int threads) {
  return {g.c.rows,
          g.c.cols,
          inner(g),
          g.a.stride,
          g.b.stride,
          g.c.stride,
          g.transpose_a,
          g.transpose_b,
          static_cast<std::int64_t>(g.a.dtype),
          static_cast<std::int64_t>(g.c.dtype),
          g.bias != nullptr,
          threads,
          static_cast<std::int64_t>(std::bit_cast<std::uint64_t>(g.beta)),
          static_cast<std::int64_t>(std::bit_cast<std::uint64_t>(g.alpha))};
}

/// Ragged batches bring new shapes for as long as they run: past so many the cache starts anew. A primitive takes about
/// 50 KB, and a step has some tens of shapes.
constexpr std::size_t most_cached = 256;

/// A primitive is generated code for one shape; making it takes up to half a millisecond, so it is kept.
MatmulPtr matmul_for(const GemmArgs& g, int threads) {
  static std::mutex mutex;
  static std::map<Key, MatmulPtr> cache;
  Key key = key_of(g, threads);
  std::lock_guard lock(mutex);
  auto found = cache.find(key);
  if (found != cache.end()) return found->second;
  if (cache.size() >= most_cached) cache.clear();
  require_code_room();
  Team team(threads);
  return cache[key] = make_matmul(g);
}

void run(const GemmArgs& g, void* scratch, int threads) {
  Team team(threads);
  if (packs(g)) return packed_gemm(g);
  MatmulPtr m = matmul_for(g, threads);
  thread_local dnnl::stream stream(engine());
  auto memory = [](const dnnl::memory::desc& desc, const void* data) {
    return dnnl::memory(desc, engine(), const_cast<void*>(data));
  };
  Arguments arguments{{DNNL_ARG_SRC, memory(m->a, g.a.data)},
                      {DNNL_ARG_WEIGHTS, memory(m->b, g.b.data)},
                      {DNNL_ARG_DST, memory(m->c, g.c.data)},
                      {DNNL_ARG_SCRATCHPAD, memory(m->scratch, scratch)}};
  if (g.bias) arguments.emplace(DNNL_ARG_BIAS, memory(m->bias, g.bias));
  pass_scale(*m, arguments);
  m->primitive.execute(stream, arguments);
  stream.wait();
}

}  // namespace

// Some 32 products for each shape of batch, 44 KiB each, until the cache is full.
std::size_t library_code_bytes(std::size_t batch_shapes) {
  return std::min<std::size_t>(most_cached, 32 * (batch_shapes - 1)) * (44 << 10);
}

std::size_t library_scratch(const GemmArgs& g, int threads) {
  return packs(g) ? 0 : with_product_named(g, [&] { return matmul_for(g, threads)->scratch.get_size(); });
}

// Of its kernels brgemm's sum in an order that k alone decides (2.6.3, 3.7.2: compared to the bit for heights from 2
// rows on, k up to 8192, all types), but for those of AMX: there the rows, too, decide into which parts k is cut to fit
// the second cache (2.6.3: from k = 1024 on). All heights must get the same kernel. A single row may be taken for a
// transposed column, with another order (3.7): no tile has one. Asking generates no code.
bool library_rows_stand_alone(const GemmArgs& g) {
  if (g.transpose_a || packs(g)) return false;
  static std::mutex mutex;
  static std::map<Key, bool> known;
  std::lock_guard lock(mutex);
  Key key = key_of(g, 1);
  if (auto found = known.find(key); found != known.end()) return found->second;
  Team team(1);
  auto kernel = [&](std::int64_t rows) -> std::string {
    GemmArgs part = g;
    part.a = row_range(g.a, 0, rows);
    part.c = row_range(g.c, 0, rows);
    Matmul operands;
    return with_product_named(part, [&] { return describe(part, &operands).impl_info_str(); });
  };
  std::string whole = kernel(g.c.rows);
  return known[key] = whole.starts_with("brg") && whole.find("amx") == std::string::npos && kernel(2) == whole &&
                      kernel(std::min<std::int64_t>(16, g.c.rows)) == whole;
}

void library_gemm(const GemmArgs& g, void* scratch, int threads) {
  with_product_named(g, [&] { run(g, scratch, threads); });
}

bool library_has_bf16() { return has_isa(dnnl_cpu_isa_avx512_core_bf16); }
bool library_has_bf16_tiles() { return has_isa(dnnl_cpu_isa_avx512_core_amx); }

/// What the library multiplies with, of what changes bits.
static std::string_view instructions() {
  if (has_isa(dnnl_cpu_isa_avx512_core_amx)) return "AMX";
  if (has_isa(dnnl_cpu_isa_avx512_core_bf16)) return "AVX-512 and bf16";
  if (has_isa(dnnl_cpu_isa_avx512_core)) return "AVX-512";
  return has_isa(dnnl_cpu_isa_avx2) ? "AVX2" : "SSE4.1";
}

std::string_view library_name() {
  static const std::string name = [] {
    const dnnl_version_t* v = dnnl_version();
    return "oneDNN " + std::to_string(v->major) + "." + std::to_string(v->minor) + "." + std::to_string(v->patch) +
           " with " + std::string(instructions());
  }();
  return name;
}

}  // namespace loragrad::cpu
