#include "app/inspect_devices.h"

#include <fstream>

#include "app/devices.h"
#include "app/terminal/console.h"
#include "ops/cpu/cpu_device.h"
#include "train/process_memory.h"

namespace loragrad {
namespace {

/// As Linux names it; "" where it does not.
std::string processor_name() {
  std::ifstream info("/proc/cpuinfo");
  for (std::string line; std::getline(info, line);)
    if (std::size_t colon = line.find(": "); line.starts_with("model name") && colon != std::string::npos)
      return line.substr(colon + 2);
  return "";
}

std::string yes_or_no(bool yes) { return yes ? "yes" : "no"; }

}  // namespace

Json devices_json() {
  std::string name = processor_name();
  Json::Object processor{{"name", name.empty() ? Json() : Json(name)},
                         {"threads", available_threads()},
                         {"instruction_set", kernel_set()},
                         {"matrix_products", gemm_library()},
                         {"memory_bytes", physical_bytes()},
                         {"available_bytes", available_bytes()},
                         {"bf16", planning_device(1)->has_bf16()}};
  GpusFound found = find_gpus();
  Json::Array gpus;
  for (const GpuFacts& gpu : found.gpus)
    gpus.push_back(Json::Object{{"index", gpu.index},
                                {"name", gpu.name},
                                {"capability", gpu.capability},
                                {"memory_bytes", gpu.memory},
                                {"free_bytes", gpu.free ? Json(*gpu.free) : Json()},
                                {"fit", gpu.unfit.empty()},
                                {"why_not", gpu.unfit.empty() ? Json() : Json(gpu.unfit)}});
  return Json::Object{{"processor", std::move(processor)},
                      {"gpus", std::move(gpus)},
                      {"why_no_gpu", found.lack.empty() ? Json() : Json(found.lack)}};
}

void print_devices() {
  std::string name = processor_name();
  std::vector<std::pair<std::string, std::string>> rows{
      {"processor", name.empty() ? "unknown" : name},       {"  threads", std::to_string(available_threads())},
      {"  instruction set", std::string(kernel_set())},     {"  matrix products", std::string(gemm_library())},
      {"  memory", bytes_text(physical_bytes())},           {"  available", bytes_text(available_bytes())},
      {"  bf16", yes_or_no(planning_device(1)->has_bf16())}};
  GpusFound found = find_gpus();
  for (const GpuFacts& gpu : found.gpus)
    rows.insert(rows.end(), {{"cuda:" + std::to_string(gpu.index), gpu.name},
                             {"  capability", gpu.capability},
                             {"  memory", bytes_text(gpu.memory)},
                             {"  free", gpu.free ? bytes_text(*gpu.free) : "unknown"},
                             {"  fit", gpu.unfit.empty() ? "yes" : "no: " + gpu.unfit}});
  if (found.gpus.empty()) rows.emplace_back("GPUs", "none: " + found.lack);
  print_table(rows);
}

}  // namespace loragrad
