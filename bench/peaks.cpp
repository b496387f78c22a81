#include "bench/peaks.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

#include "bench/timing.h"

#ifdef __x86_64__
#include <immintrin.h>
#endif

namespace loragrad::bench {
namespace {

// Sums that do not wait for each other: more than latency times the number of units.
constexpr int sums = 12;
constexpr std::int64_t rounds = 2'000'000;

/// A loop of `rounds` times `sums` instructions, and the operations of one instruction.
struct Loop {
  float (*run)() = nullptr;
  double flops = 0;
};

float portable() {
  constexpr int width = 4 * sums;
  float sum[width] = {}, total = 0;
  for (std::int64_t i = 0; i < rounds; ++i)
    for (float& s : sum) s = s * 0.5f + 1.5f;
  for (float s : sum) total += s;
  return total;
}

#ifdef __x86_64__
__attribute__((target("avx2,fma"))) float avx2() {
  __m256 sum[sums], x = _mm256_set1_ps(0.5f), y = _mm256_set1_ps(1.5f);
  for (__m256& s : sum) s = _mm256_setzero_ps();
  for (std::int64_t i = 0; i < rounds; ++i)
    for (__m256& s : sum) s = _mm256_fmadd_ps(s, x, y);
  for (int i = 1; i < sums; ++i) sum[0] = _mm256_add_ps(sum[0], sum[i]);
  return _mm256_cvtss_f32(sum[0]);
}

__attribute__((target("avx512f"))) float avx512() {
  __m512 sum[sums], x = _mm512_set1_ps(0.5f), y = _mm512_set1_ps(1.5f);
  for (__m512& s : sum) s = _mm512_setzero_ps();
  for (std::int64_t i = 0; i < rounds; ++i)
    for (__m512& s : sum) s = _mm512_fmadd_ps(s, x, y);
  for (int i = 1; i < sums; ++i) sum[0] = _mm512_add_ps(sum[0], sum[i]);
  return _mm512_cvtss_f32(sum[0]);
}

__attribute__((target("avx512f,avx512bw,avx512bf16"))) float avx512_bf16() {
  __m512 sum[sums], small = _mm512_set1_ps(0.5f);
  for (__m512& s : sum) s = _mm512_setzero_ps();
  __m512bh x = _mm512_cvtne2ps_pbh(small, small);
  for (std::int64_t i = 0; i < rounds; ++i)
    for (__m512& s : sum) s = _mm512_dpbf16_ps(s, x, x);
  for (int i = 1; i < sums; ++i) sum[0] = _mm512_add_ps(sum[0], sum[i]);
  return _mm512_cvtss_f32(sum[0]);
}

Loop f32_loop() {
  if (__builtin_cpu_supports("avx512f")) return {avx512, 2 * 16};
  if (__builtin_cpu_supports("fma")) return {avx2, 2 * 8};
  return {portable, 2 * 4};
}
Loop bf16_loop() {
  if (__builtin_cpu_supports("avx512bf16")) return {avx512_bf16, 4 * 16};
  return {};
}
#else
Loop f32_loop() { return {portable, 2 * 4}; }
Loop bf16_loop() { return {}; }
#endif

double rate(cpu::ThreadPool& threads, const Loop& loop) {
  std::vector<float> kept(static_cast<std::size_t>(threads.size()));
  double best = INFINITY;
  for (int i = 0; i < 3; ++i)
    best = std::min(best, seconds([&] {
                      threads.parallel_for(threads.size(),
                                           [&](std::int64_t t) { kept[static_cast<std::size_t>(t)] = loop.run(); });
                    }));
  return threads.size() * static_cast<double>(rounds * sums) * loop.flops / best;
}

#ifdef __x86_64__
__attribute__((target_clones("avx512f", "avx2", "default")))
#endif
void triad(std::int64_t begin, std::int64_t end, float* z, const float* x, const float* y) {
  for (std::int64_t i = begin; i < end; ++i) z[i] = x[i] + 0.5f * y[i];
}

/// Seconds of one pass over three arrays of n floats, on `parts` threads.
double stream_pass(cpu::ThreadPool& threads, std::int64_t n, int parts, float* z, const float* x, const float* y) {
  std::int64_t part = (n + parts - 1) / parts;
  auto pass = [&] {
    threads.parallel_for(parts, [&](std::int64_t t) { triad(t * part, std::min(n, (t + 1) * part), z, x, y); });
  };
  std::vector<double> passes;
  for (double spent = 0; spent < 0.03 || passes.size() < 5; spent += passes.back()) passes.push_back(seconds(pass));
  return median(passes);
}

}  // namespace

double fma_rate(cpu::ThreadPool& threads) { return rate(threads, f32_loop()); }

std::optional<double> bf16_dot_rate(cpu::ThreadPool& threads) {
  Loop loop = bf16_loop();
  if (!loop.run) return std::nullopt;
  return rate(threads, loop);
}

double stream_rate(cpu::ThreadPool& threads, double bytes) {
  auto n = std::clamp<std::int64_t>(static_cast<std::int64_t>(bytes / 12), 1 << 10, 1 << 24);
  std::vector<float> x(static_cast<std::size_t>(n), 1), y(x), z(x);
  // Small arrays are done before another thread has woken up.
  double pass = std::min(stream_pass(threads, n, 1, z.data(), x.data(), y.data()),
                         stream_pass(threads, n, threads.size(), z.data(), x.data(), y.data()));
  return 12 * static_cast<double>(n) / pass;
}

}  // namespace loragrad::bench
