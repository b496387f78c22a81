// How near generation comes to what the memory's bandwidth allows: each token reads every weight once.
//   decode MODEL_FOLDER [f32|bf16] [TOKENS=64] [THREADS=all] [ROUNDS=5] [ROWS=8] [--device cpu|cuda]
// In turns: the bandwidth of reading a buffer larger than the caches (on a GPU: of copying one), TOKENS tokens after a
// prompt of 16, the same of ROWS rows at once, and the prefill of 512 tokens.
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <string>

#include "bench/device_rates.h"
#include "bench/device_word.h"
#include "bench/random_rows.h"
#include "bench/timing.h"
#include "loragrad.h"
#include "ops/cpu/processor.h"

using namespace loragrad;
using namespace loragrad::bench;

namespace {

/// Bytes/s of all threads reading together, each a stretch of its own.
class ReadRate {
 public:
  explicit ReadRate(Device& device) : device_(device), words_(Tensor::zeros(cpu_device(1), {rows, cols}, DType::f64)) {}
  double measure() {
    int threads = cpu::threads_of(device_).size();
    std::vector<double> sums(static_cast<std::size_t>(threads));
    double time = seconds([&] {
      cpu::threads_of(device_).parallel_for(threads, [&](std::int64_t i) {
        std::int64_t size = rows * cols / threads / 64 * 64;
        const double* from = words_.data<double>() + i * size;
        double sum[64] = {};  // independent sums: an addition's latency is not what is measured
        for (std::int64_t j = 0; j < size; j += 64)
          for (int k = 0; k < 64; ++k) sum[k] += from[j + k];
        for (double s : sum) sums[static_cast<std::size_t>(i)] += s;
      });
    });
    for (double sum : sums)
      if (sum != 0) std::abort();  // the reading has to have happened
    return static_cast<double>(rows * cols * 8) / time;
  }

 private:
  static constexpr std::int64_t rows = 64 << 10, cols = 1024;
  Device& device_;
  Tensor words_;
};

std::vector<std::int32_t> prompt(std::int64_t tokens, std::int64_t vocab) {
  return random_rows({tokens}, vocab).rows.front().input_ids;
}

/// Bytes of the matrices that one token is multiplied with.
std::size_t bytes_per_token(const CausalLm& model, std::size_t element) {
  std::size_t count = static_cast<std::size_t>(model.config().vocab_size * model.config().word_embed_proj_dim);
  for (const LinearShape& shape : model.linear_shapes()) count += static_cast<std::size_t>(shape.in * shape.out);
  return count * element;
}

/// Tokens/s of `rows` rows together, `tokens` of each. Their prompts' passes are not decoding: the first step has them.
double decoding_rate(const CausalLm& model, const std::vector<std::int32_t>& prompt, std::int64_t tokens,
                     std::int64_t rows) {
  BatchDecoder decoder(model, rows, static_cast<std::int64_t>(prompt.size()) + tokens + 1);
  // An id that is none: no row ends early.
  GenerateOptions options{.max_tokens = tokens + 1, .end_tokens = {-1}};
  for (std::int64_t row = 0; row < rows; ++row) decoder.add(row, prompt, options);
  decoder.step();
  Stopwatch watch;
  while (!decoder.done()) decoder.step();
  return static_cast<double>(rows * tokens) / watch.seconds();
}

}  // namespace

int main(int argc, char** argv) try {
  std::string name = take_device(argc, argv);
  if (argc < 2)
    return std::puts("usage: decode MODEL_FOLDER [f32|bf16] [TOKENS] [THREADS] [ROUNDS] [ROWS] [--device cpu|cuda]"), 2;
  std::string precision = argc > 2 ? argv[2] : "f32";
  std::int64_t tokens = argc > 3 ? std::atoll(argv[3]) : 64;
  int threads = argc > 4 ? std::atoi(argv[4]) : available_threads(), rounds = argc > 5 ? std::atoi(argv[5]) : 5;
  std::int64_t rows = argc > 6 ? std::atoll(argv[6]) : 8;
  DevicePtr device = open_device(name, threads);
  Precision wanted = precision == "bf16" ? Precision::bf16 : Precision::f32;
  auto model = load_model(argv[1], device, {.precision = wanted});
  std::int64_t vocab = model->config().vocab_size, positions = model->config().max_position_embeddings;
  std::vector<std::int32_t> start = prompt(16, vocab), text = prompt(std::min<std::int64_t>(512, positions - 1), vocab);

  std::optional<ReadRate> reading;
  if (device->shares_host_memory()) reading.emplace(*device);
  std::vector<double> memory, decoding, together, prefill;
  for (int round = 0; round <= rounds; ++round) {  // the first warms up
    double rate = (reading ? reading->measure() : copy_rate(device)) / 1e9;
    double one = decoding_rate(*model, start, tokens, 1), many = decoding_rate(*model, start, tokens, rows);
    double fill = seconds([&] { generate(*model, {}, text, {.max_tokens = 1}); });
    if (round == 0) continue;
    memory.push_back(rate);
    decoding.push_back(one);
    together.push_back(many);
    prefill.push_back(static_cast<double>(text.size()) / fill);
  }
  // The file is to be of the precision asked for: weights are read as they lie in it.
  double gb = static_cast<double>(bytes_per_token(*model, wanted == Precision::bf16 ? 2 : 4)) / 1e9;
  std::string by = reading ? std::to_string(threads) + " threads" : "copying";
  std::printf("memory bandwidth, %-11s %8.1f GB/s\n", by.c_str(), median(memory));
  std::printf("weights a token               %8.3f GB\n", gb);
  std::printf("decoding                      %8.1f tokens/s, %.0f %% of what the bandwidth allows\n", median(decoding),
              100 * gb * median(decoding) / median(memory));
  std::printf("decoding of %lld rows at once   %6.1f tokens/s, %.2f times one row's\n", static_cast<long long>(rows),
              median(together), median(together) / median(decoding));
  std::printf("prefill of %zu tokens         %8.1f tokens/s\n", text.size(), median(prefill));
} catch (const Error& error) {
  return std::fprintf(stderr, "error: %s\n", error.what()), static_cast<int>(error.kind());
}
