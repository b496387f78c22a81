#include <fmt/format.h>

#include "app/commands.h"
#include "app/demo/claims.h"
#include "app/flags/flags.h"
#include "app/terminal/console.h"
#include "app/terminal/interrupt.h"
#include "ops/cpu/cpu_device.h"
#include "train/process_memory.h"

namespace loragrad {

int run_demo(const Words& words) {
  Flags flags("demo",
              "Makes a small base model, trains two LoRA adapters on it, and measures what is claimed for LoRA.");
  bool fresh = false, quick = false, json = false;
  std::int64_t threads = 0;
  std::uint64_t seed = DemoScale::full().base_seed;
  flags.toggle("fresh", fresh, "pretrain the base again instead of taking it from the cache");
  flags.toggle("quick", quick, "few steps and one seed, to try it out; accuracies will be low");
  flags.integer("threads", threads, 0, 4096, "threads; 0: all that may be used");
  flags.seed("seed", seed, "of the base, the stories and the tasks");
  flags.toggle("json", json, "print all measures as JSON");
  if (!flags.parse(words)) return print(flags.help()), 0;

  catch_interrupts();
  DemoSettings settings{quick ? DemoScale::quick() : DemoScale::full(), fresh, static_cast<int>(threads)};
  settings.scale.base_seed = seed;
  DemoReport report = measure_claims(settings);
  if (json)
    print_json(report.json());
  else
    print(report.text());
  return 0;
}

}  // namespace loragrad
