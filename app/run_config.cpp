#include "app/run_config.h"

#include <fmt/format.h>

#include "ops/cpu/cpu_device.h"

namespace loragrad {

std::string run_config_text(const Flags& flags, TrainingFlags& training, const TrainOptions& resolved,
                            const Device& device) {
  training.options.micro_batch = resolved.micro_batch;
  training.options.checkpoint_activations = resolved.checkpoint_activations;
  std::string head = fmt::format(
      "# A run of loragrad {} on {} (kernels: {}; matrix products: {}). The same there again, bit for bit:\n"
      "#   loragrad {} --config run.yaml --output OTHER\n",
      LORAGRAD_VERSION, device.name(), kernel_set(), gemm_library(), flags.command());
  return head + flags.yaml({"overwrite", "json", "max-memory", "resume", "force-resume"});
}

}  // namespace loragrad
