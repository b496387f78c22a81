#include "app/devices.h"

#include <fmt/format.h>

#include <algorithm>

#include "app/terminal/console.h"
#include "ops/cpu/cpu_device.h"
#include "ops/cuda/cuda_device.h"

// The one file of the program that names the GPU's backend: tests/cli builds the program again with another behind it.
namespace loragrad {
namespace {

constexpr std::string_view numbered = "cuda:";

bool is_device(const std::string& word) {
  if (word == "auto" || word == "cpu" || word == "cuda") return true;
  std::string_view number = word;
  if (!number.starts_with(numbered)) return false;
  number.remove_prefix(numbered.size());
  return !number.empty() && number.size() < 4 && number.find_first_not_of("0123456789") == std::string_view::npos;
}

/// The first that may be used, or null.
const cuda::GpuInfo* first_fit() {
  const std::vector<cuda::GpuInfo>& gpus = cuda::machine().gpus;
  auto fit = std::find_if(gpus.begin(), gpus.end(), [](const cuda::GpuInfo& gpu) { return gpu.unfit.empty(); });
  return fit == gpus.end() ? nullptr : &*fit;
}

void say_processor(const std::string& reason) { warn("device: " + reason + "; the processor is used"); }

}  // namespace

void ChosenDevice::change(const std::string& reason) {
  warn(reason + "; the processor is used");
  device_.reset();  // gives its memory back
  device_ = cpu_device(threads_);
  may_change_ = false;
}

void DeviceFlags::add(Flags& flags, bool takes_tf32) {
  flags.word("device", choice, "auto|cpu|cuda|cuda:N", is_device, "auto, cpu, cuda or cuda:N",
             "what computes; auto: a GPU where there is one");
  if (takes_tf32) flags.toggle("tf32", tf32, "products of f32 on a GPU may round what they multiply to TF32");
  flags.integer("threads", threads, 0, 4096, "threads of the processor; 0: all that may be used");
}

int DeviceFlags::thread_count() const { return threads > 0 ? static_cast<int>(threads) : available_threads(); }

std::string DeviceFlags::words(const Device& device) const {
  if (device.shares_host_memory()) return fmt::format("cpu, {} by {}", kernel_set(), gemm_library());
  const cuda::GpuInfo* first = first_fit();
  int index = choice.starts_with(numbered) ? std::stoi(choice.substr(numbered.size())) : first ? first->index : 0;
  for (const cuda::GpuInfo& gpu : cuda::machine().gpus)
    if (gpu.index == index) return gpu.name;
  return std::string(device.name());
}

ChosenDevice DeviceFlags::open(std::optional<std::size_t> limit) const {
  bool is_auto = choice == "auto";
  const cuda::GpuInfo* fit = choice == "cpu" ? nullptr : first_fit();
  if (choice == "cpu" || (is_auto && !fit)) {
    if (tf32)
      throw UsageError("--tf32: expected a GPU as --device, found " +
                       (is_auto ? "none: " + cuda::machine().lack : "the processor"));
    if (is_auto && cuda::machine().has_driver) say_processor(cuda::machine().lack);
    return {cpu_device(thread_count()), thread_count()};
  }
  cuda::GpuOptions options{.index = fit ? fit->index : 0, .limit = limit.value_or(0), .tf32 = tf32};
  if (choice.starts_with(numbered)) options.index = std::stoi(choice.substr(numbered.size()));
  if (!is_auto) return {cuda::cuda_device(options), thread_count()};
  try {
    std::size_t free = cuda::free_memory(fit->index);
    DevicePtr gpu = cuda::cuda_device(options);
    note(fmt::format("device: {}, {} free", fit->name, bytes_text(free)));
    return {gpu, thread_count(), !tf32};
  } catch (const Error& error) {
    if (tf32) throw;
    say_processor(error.what());
  }
  return {cpu_device(thread_count()), thread_count()};
}

GpusFound find_gpus() {
  GpusFound found{{}, cuda::machine().lack};
  for (const cuda::GpuInfo& gpu : cuda::machine().gpus) {
    GpuFacts facts{gpu.index, gpu.name, fmt::format("{}.{}", gpu.major, gpu.minor), gpu.unfit, gpu.memory, {}};
    try {
      if (gpu.unfit.empty()) facts.free = cuda::free_memory(gpu.index);
    } catch (const IoError& error) {
      facts.unfit = error.what();
    }
    found.gpus.push_back(facts);
  }
  return found;
}

}  // namespace loragrad
