// What rows with adapters of their own cost: a batch of R rows that have R adapters, beside one adapter for all of them.
//   adapters MODEL_FOLDER [f32|bf16] [ROWS=8] [TOKENS=256] [ROUNDS=9] [--device cpu|cuda]
// In turns, each the loss of the whole batch, not recorded. Adapters of rank 16 on the family's default targets, and on
// every linear map.
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "bench/device_word.h"
#include "bench/random_rows.h"
#include "bench/timing.h"
#include "engine/random.h"
#include "loragrad.h"

using namespace loragrad;
using namespace loragrad::bench;

namespace {

/// As after a training: B is not zero.
Adapter trained_adapter(const CausalLm& model, const TargetModules& targets, std::uint64_t seed) {
  LoraConfig config{.r = 16, .lora_alpha = 32, .target_modules = targets};
  Adapter adapter = make_adapter(model.device(), config, model.linear_shapes(), seed);
  for (LoraModule& module : adapter.modules) {
    Random random(seed, hash_name(module.name.data(), module.name.size()));
    std::vector<float> values(static_cast<std::size_t>(module.b.numel()));
    for (float& value : values) value = static_cast<float>(random.normal() * 0.01);
    module.b.set_values(values);
  }
  return adapter;
}

void measure(const CausalLm& model, const Batch& batch, const TargetModules& targets, const char* label, int rounds) {
  auto rows = static_cast<std::size_t>(batch.spans->rows());
  std::vector<WeightedAdapter> adapters;
  std::vector<std::string> names;
  for (std::size_t row = 0; row < rows; ++row) {
    names.push_back("row-" + std::to_string(row));
    adapters.push_back({trained_adapter(model, targets, row), 1, names.back()});
  }
  std::vector<std::pair<std::string, ActiveAdapters>> ways{
      {"no adapter", {}},
      {"one adapter", model.activate(adapters[0].adapter)},
      {"one, chosen by every other row", model.activate(adapters)},
      {std::to_string(rows) + " adapters", model.activate(adapters).for_rows(names)}};
  std::vector<std::string> alternating(rows);
  for (std::size_t row = 0; row < rows; row += 2) alternating[row] = names[0];
  ways[2].second = ways[2].second.for_rows(alternating);
  std::vector<std::vector<double>> times(ways.size());
  for (int round = 0; round <= rounds; ++round)  // the first warms up
    for (std::size_t way = 0; way < ways.size(); ++way) {
      Pass pass{.batch = batch, .adapters = ways[way].second, .record = false};
      double time = seconds([&] { model.loss(pass, 1).sum.item(); });
      if (round > 0) times[way].push_back(time);
    }
  std::printf("%s\n", label);
  for (std::size_t way = 0; way < ways.size(); ++way)
    std::printf("  %-32s %9.2f ms  %5.3f of one adapter's\n", ways[way].first.c_str(), 1e3 * median(times[way]),
                median(times[way]) / median(times[1]));
}

}  // namespace

int main(int argc, char** argv) try {
  std::string name = take_device(argc, argv);
  if (argc < 2)
    return std::puts("usage: adapters MODEL_FOLDER [f32|bf16] [ROWS] [TOKENS] [ROUNDS] [--device cpu|cuda]"), 2;
  bool bf16 = argc > 2 && std::string(argv[2]) == "bf16";
  std::int64_t count = argc > 3 ? std::atoll(argv[3]) : 8, tokens = argc > 4 ? std::atoll(argv[4]) : 256;
  int rounds = argc > 5 ? std::atoi(argv[5]) : 9;
  auto model = load_model(argv[1], open_device(name, available_threads()),
                          {.precision = bf16 ? Precision::bf16 : Precision::f32});
  Dataset data =
      random_rows(std::vector<std::int64_t>(static_cast<std::size_t>(count), tokens), model->config().vocab_size);
  StepRows rows;
  for (const Row& row : data.rows) rows.push_back(&row);
  Batch batch = batch_of(*model, rows, 0, rows.size());
  std::printf("%lld rows of %lld tokens, %s\n", static_cast<long long>(count), static_cast<long long>(tokens),
              bf16 ? "bf16" : "f32");
  measure(*model, batch, default_targets(model->config().model_type), "the family's default targets", rounds);
  measure(*model, batch, TargetModules::parse("all-linear"), "all linear maps", rounds);
} catch (const Error& error) {
  return std::fprintf(stderr, "error: %s\n", error.what()), static_cast<int>(error.kind());
}
