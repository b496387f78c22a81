#include "app/demo/claims.h"

#include <fmt/format.h>

#include <filesystem>

#include "app/demo/measure.h"
#include "app/demo/progress.h"
#include "app/terminal/console.h"
#include "lora/files/adapter_file.h"
#include "ops/cpu/cpu_device.h"

namespace loragrad {
namespace {

DemoTrained train_task(const DemoStage& stage, DemoTask task, const std::string& scratch) {
  DemoTrained trained;
  trained.data = demo_task_data(stage, task);
  trained.before = exact_share(*stage.model, {}, trained.data.test);
  for (std::uint64_t seed = stage.scale.base_seed; seed < stage.scale.base_seed + stage.scale.seeds; ++seed) {
    Adapter adapter = demo_train_lora(stage, trained.data, demo_rank, seed, trained.lora.emplace_back());
    trained.folders.push_back(fmt::format("{}/{}-{}", scratch, name_of(task), seed));
    std::filesystem::create_directories(trained.folders.back());
    save_adapter(adapter, trained.folders.back());
    trained.full.push_back(demo_train_full(stage, trained.data, seed));
  }
  return trained;
}

std::vector<DemoSample> samples_of(const DemoStage& stage, const DemoTrained& trained) {
  Adapter adapter = load_adapter(trained.folders[0], stage.device, stage.model->linear_shapes(), false);
  std::vector<DemoSample> samples;
  for (std::size_t i = 0; i < 2; ++i) {
    const std::string& prompt = trained.data.examples[i].prompt;
    constexpr std::int64_t most = 6;
    auto continued = [&](const ActiveAdapters& adapters) {
      return continuation(*stage.model, adapters, stage.tokenizer, prompt, most);
    };
    samples.push_back({name_of(trained.data.task), prompt, continued({}), continued(stage.model->activate(adapter))});
  }
  return samples;
}

template <class T>
void append(std::vector<T>& to, std::vector<T> from) {
  for (T& item : from) to.push_back(std::move(item));
}

}  // namespace

DemoReport measure_claims(const DemoSettings& settings) {
  Stopwatch watch;
  TemporaryFolder scratch;
  DevicePtr device = cpu_device(settings.threads);
  DemoProgress progress;
  progress.expect(settings.scale.all_task_steps());
  DemoStage stage =
      DemoStage::open(settings.scale, open_demo_base(settings.scale, settings.fresh, device, scratch.path(), progress),
                      device, progress);

  DemoTrained who = train_task(stage, DemoTask::who, scratch.path());
  DemoTrained cheer = train_task(stage, DemoTask::cheer, scratch.path());
  DemoReport report;
  for (const DemoTrained* trained : {&who, &cheer}) append(report.samples, samples_of(stage, *trained));
  append(report.claims, cost_claims(stage, who.data, settings.threads));
  append(report.claims, quality_claims(stage, {who, cheer}));
  append(report.claims, use_claims(stage, who, cheer, scratch.path()));
  report.claims.push_back(rank_claim(stage, who));
  end_progress_line();
  report.base =
      fmt::format("Base: {} parameters, seed {}, {}", grouped(stage.model->parameter_count()), settings.scale.base_seed,
                  stage.base.cached ? "from the cache (--fresh makes it anew)"
                                    : fmt::format("made in {}", duration_text(stage.base.seconds)));
  report.seconds = watch.seconds();
  report.setting = {{"parameters", stage.model->parameter_count()},
                    {"base", stage.base.cached ? Json(stage.base.folder) : Json()},
                    {"pretrain_seconds", stage.base.seconds},
                    {"pretrain_steps", settings.scale.pretrain_steps},
                    {"who_steps", settings.scale.who_steps},
                    {"cheer_steps", settings.scale.cheer_steps},
                    {"rank", demo_rank},
                    {"base_seed", settings.scale.base_seed},
                    {"seeds", settings.scale.seeds},
                    {"story_loss", stage.story_loss},
                    {"threads", settings.threads > 0 ? settings.threads : available_threads()}};
  return report;
}

}  // namespace loragrad
