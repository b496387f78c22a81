// LoRA's textbook example: facebook/opt-125m, rank 16 on q_proj and v_proj.
//   finetune_opt MODEL_FOLDER DATA.jsonl OUTPUT_FOLDER [STEPS]
#include <cstdio>
#include <cstdlib>
#include <filesystem>

#include "loragrad.h"

using namespace loragrad;

int main(int argc, char** argv) try {
  if (argc < 4) return std::fprintf(stderr, "usage: finetune_opt MODEL DATA OUTPUT [STEPS]\n"), 2;
  std::string folder = argv[1], output = argv[3];
  auto model = load_model(folder, cpu_device());

  LoraConfig config{.r = 16, .lora_alpha = 32, .target_modules = {"q_proj", "v_proj"}, .lora_dropout = 0.05};
  Adapter adapter = make_adapter(model->device(), config, model->linear_shapes(), /*seed=*/0);
  std::int64_t trainable = adapter.parameters();
  std::puts(trainable_parameters_text(trainable, model->parameter_count() + trainable).c_str());

  Dataset data = load_dataset(argv[2], nullptr, {.seq_len = 256, .vocab_size = model->config().vocab_size});
  TrainObserver print{.on_step = [](const StepReport& s) { std::printf("step %ld loss %.4f\n", s.step, s.loss); }};
  train(*model, &adapter, data, {.lr = 2e-4, .steps = argc > 4 ? std::atoi(argv[4]) : 100}, nullptr, print);

  std::filesystem::create_directories(output + "/merged");
  save_adapter(adapter, output);  // PEFT loads this folder
  MergeReport merged =
      write_merged_model(*model, folder, {{adapter, 1.0}}, output + "/merged");  // and transformers this one
  std::printf("merged %ld tensors, largest logit difference %.1e\n", merged.merged, merged.largest_logit_difference);
} catch (const Error& error) {
  return std::fprintf(stderr, "error: %s\n", error.what()), static_cast<int>(error.kind());
}
