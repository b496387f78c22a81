#include "app/flags/run_config.h"

#include <fmt/format.h>

#include <filesystem>

#include "io/json.h"
#include "ops/cpu/cpu_device.h"

namespace loragrad {

std::string run_config_text(const Flags& flags, const TrainOptions& resolved, const Device& device) {
  std::string folder = escaped(std::filesystem::current_path().string());  // a line of a comment, whatever is in it
  std::string head = fmt::format(
      "# A run of loragrad {} on {} (kernels: {}; matrix products: {}). The same there again, bit for bit, from the "
      "folder\n"
      "# that its paths count from, {}:\n"
      "#   loragrad {} --config THIS-FILE --output OTHER\n",
      LORAGRAD_VERSION, device.name(), kernel_set(), gemm_library(), folder, flags.command());
  return head + flags.yaml({"overwrite", "metrics", "json", "max-memory", "resume", "force-resume"},
                           {{"micro-batch", fmt::to_string(resolved.micro_batch)},
                            {"checkpoint-activations", resolved.checkpoint_activations ? "true" : "false"}});
}

}  // namespace loragrad
