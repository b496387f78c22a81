// How much of a training step is matrix products: the step of a LoRA run beside the same products alone, in one
// process.
//   step MODEL_FOLDER [ROWS=4] [LENGTH=256] [f32|bf16] [ROUNDS=5]
// ROWS random rows of LENGTH tokens ("17-256": lengths mixed evenly between the two). Rank 16 on the family's default
// targets.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "bench/timing.h"
#include "engine/random.h"
#include "loragrad.h"
#include "ops/gemm.h"

using namespace loragrad;

namespace {

Dataset random_rows(std::int64_t rows, const std::string& length, std::int64_t vocab) {
  std::int64_t shortest = std::atoll(length.c_str()), longest = shortest;
  if (auto dash = length.find('-'); dash != std::string::npos) longest = std::atoll(length.c_str() + dash + 1);
  Random random(/*seed=*/1, /*stream=*/0);
  Dataset data;
  for (std::int64_t i = 0; i < rows; ++i) {
    std::int64_t n = rows > 1 ? shortest + (longest - shortest) * i / (rows - 1) : longest;
    Row row;
    for (std::int64_t t = 0; t < n; ++t)
      row.input_ids.push_back(static_cast<TokenId>(random.below(static_cast<std::uint64_t>(vocab))));
    row.labels = row.input_ids;
    data.tokens += n;
    data.supervised_tokens += n - 1;
    data.rows.push_back(row);
  }
  return data;
}

/// Forward and dx of every frozen product of a step, the head's too, on matrices of the same shapes.
struct Products {
  Products(const CausalLm& model, std::int64_t tokens)
      : device(model.device()), dtype(model.compute_dtype()), tokens(tokens) {
    shapes = model.linear_shapes();
    // Products below the first adapter have no dx: the first layer's input needs none.
    shapes.push_back({"head", model.config().word_embed_proj_dim, model.config().vocab_size, WeightLayout::out_in});
    std::int64_t widest = 0, largest = 0;
    for (const LinearShape& s : shapes) {
      widest = std::max({widest, s.in, s.out});
      largest = std::max(largest, s.in * s.out);
    }
    a = Tensor::zeros(device, {tokens, widest}, dtype);
    c = Tensor::zeros(device, {tokens, widest}, dtype);
    w = Tensor::zeros(device, {1, largest}, dtype);
  }
  void run() {
    for (const LinearShape& s : shapes) {
      Matrix x = a.mutable_matrix(), y = c.mutable_matrix(), weight = w.mutable_matrix();
      x.cols = x.stride = s.in;
      y.cols = y.stride = s.out;
      bool out_in = s.layout == WeightLayout::out_in;
      weight.rows = out_in ? s.out : s.in;
      weight.cols = weight.stride = out_in ? s.in : s.out;
      gemm(*device, {.c = y, .a = x, .b = weight, .transpose_b = out_in});
      gemm(*device, {.c = x, .a = y, .b = weight, .transpose_b = !out_in});
    }
  }
  double flops() const {
    double sum = 0;
    for (const LinearShape& s : shapes) sum += 4.0 * static_cast<double>(s.in * s.out * tokens);
    return sum;
  }
  DevicePtr device;
  DType dtype;
  std::int64_t tokens;
  std::vector<LinearShape> shapes;
  Tensor a, c, w;
};

}  // namespace

int main(int argc, char** argv) try {
  if (argc < 2) return std::fprintf(stderr, "usage: step MODEL [ROWS] [LENGTH] [f32|bf16] [ROUNDS]\n"), 2;
  std::int64_t rows = argc > 2 ? std::atoll(argv[2]) : 4;
  std::string length = argc > 3 ? argv[3] : "256", precision = argc > 4 ? argv[4] : "f32";
  int rounds = argc > 5 ? std::atoi(argv[5]) : 5;
  auto model = load_model(argv[1], cpu_device(), {.precision = precision == "bf16" ? Precision::bf16 : Precision::f32});
  LoraConfig config{
      .r = 16, .lora_alpha = 32, .target_modules = default_targets(model->config().model_type), .lora_dropout = 0.05};
  Adapter adapter = make_adapter(model->device(), config, model->linear_shapes(), 0);
  model->attach(adapter);
  Dataset data = random_rows(rows, length, model->config().vocab_size);
  Products products(*model, data.tokens);

  std::vector<double> steps, alone;
  TrainOptions options{.batch_size = rows, .steps = 2};  // the first step of each round is the warm-up
  for (int i = 0; i < rounds; ++i) {
    train(*model, &adapter, data, options, nullptr, {.on_step = [&](const StepReport& s) {
      if (s.step == 2) steps.push_back(s.seconds);
    }});
    alone.push_back(seconds([&] { products.run(); }));
  }
  double step = median(steps), gemms = median(alone);
  std::printf("%-28s %s, %d threads\n", "products by", std::string(gemm_library()).c_str(),
              model->device()->threads().size());
  std::printf("%-28s %lld (%lld rows of %s), %s\n", "tokens a step", static_cast<long long>(data.tokens),
              static_cast<long long>(rows), length.c_str(), precision.c_str());
  std::printf("%-28s %.3f s, %.0f tokens/s\n", "step, median", step, static_cast<double>(data.tokens) / step);
  std::printf("%-28s %.3f s, %.0f GFLOP/s\n", "the same products alone", gemms, products.flops() / gemms / 1e9);
  std::printf("%-28s %.0f %%\n", "utilisation", 100 * gemms / step);
} catch (const Error& error) {
  return std::fprintf(stderr, "error: %s\n", error.what()), static_cast<int>(error.kind());
}
