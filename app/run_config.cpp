#include "app/run_config.h"

#include <fmt/format.h>

#include "io/atomic.h"
#include "ops/cpu/cpu_device.h"

namespace loragrad {

void write_run_config(const TrainingOutput& output, const Flags& flags, TrainingFlags& training,
                      const TrainOptions& resolved, const Device& device) {
  training.options.micro_batch = resolved.micro_batch;
  training.options.checkpoint_activations = resolved.checkpoint_activations;
  std::string head = fmt::format(
      "# A run of loragrad {} on {} (kernels: {}; matrix products: {}). The same there again, bit for bit:\n"
      "#   loragrad {} --config run.yaml --output OTHER\n",
      LORAGRAD_VERSION, device.name(), kernel_set(), gemm_library(), flags.command());
  write_file(output.file("run.yaml"), head + flags.yaml({"overwrite", "json", "max-memory"}));
}

}  // namespace loragrad
