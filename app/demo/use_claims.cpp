#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <filesystem>

#include "app/demo/claims.h"
#include "app/demo/measure.h"
#include "app/demo/progress.h"
#include "app/terminal/console.h"
#include "lora/files/adapter_file.h"
#include "models/files/merged_model.h"

namespace loragrad {
namespace {

Adapter open(const DemoStage& stage, const DemoTrained& trained, std::size_t seed = 0) {
  return load_adapter(trained.folders[seed], stage.device, stage.model->linear_shapes(), false);
}

DemoClaim size_claim(const DemoStage& stage, const DemoTrained& trained) {
  auto adapter = std::filesystem::file_size(trained.folders[0] + "/adapter_model.safetensors");
  auto base = std::filesystem::file_size(stage.base.folder + "/model.safetensors");
  return {"adapter_size",
          "adapter file: under a tenth of the base's",
          fmt::format("{}, base {}: {:.1f}x less", bytes_text(adapter), bytes_text(base),
                      static_cast<double>(base) / static_cast<double>(adapter)),
          adapter * 10 < base,
          {{"adapter_bytes", adapter}, {"base_bytes", base}}};
}

/// Two claims: the merged model is the adapted one, and as fast as the base.
std::vector<DemoClaim> merge_claims(const DemoStage& stage, const DemoTrained& trained, const std::string& scratch) {
  stage.progress.begin("merging, swapping and composing adapters");
  std::string folder = scratch + "/merged";
  std::filesystem::create_directories(folder);
  Adapter adapter = open(stage, trained);
  write_merged_model(*stage.model, stage.base.folder, {{adapter, 1}}, folder);
  std::unique_ptr<CausalLm> merged = load_model(folder, stage.device);
  ActiveAdapters adapted = stage.model->activate(adapter);
  std::vector<float> logits = sample_logits(*stage.model, adapted, trained.data.test);
  double difference = largest_difference(logits, sample_logits(*merged, {}, trained.data.test));
  double largest = largest_difference(logits, std::vector<float>(logits.size()));

  constexpr int rounds = 60;
  const Row& row = stage.held_out_stories.rows.front();
  DecodingTimes times = time_decoding({{stage.model.get()}, {merged.get()}, {stage.model.get(), adapted}}, row, rounds);
  std::vector<double> speed;
  for (double s : times.seconds) speed.push_back(static_cast<double>(row.input_ids.size()) / s);
  return {{"merged_equals_adapter",
           "merged equals adapter",
           fmt::format("logits differ by {:.1e} (of up to {:.1f})", difference, largest),
           difference <= 1e-5 * largest,
           {{"largest_logit_difference", difference}, {"largest_logit", largest}}},
          {"merged_speed",
           "merged costs nothing at generation",
           fmt::format("tokens/s: merged {:.0f}, base {:.0f}, adapter {:.0f}", speed[1], speed[0], speed[2]),
           times.against_first[1] <= 1.1,
           {{"merged_time_against_base", times.against_first[1]},
            {"base_tokens_per_s", speed[0]},
            {"merged_tokens_per_s", speed[1]},
            {"adapter_tokens_per_s", speed[2]}}}};
}

/// A, B and A again on one loaded base, against A on a base loaded for it.
DemoClaim swap_claim(const DemoStage& stage, const DemoTrained& who, const DemoTrained& cheer) {
  Adapter a = open(stage, who), b = open(stage, cheer);
  Stopwatch loading;
  std::unique_ptr<CausalLm> own = load_model(stage.base.folder, stage.device);
  double load_seconds = loading.seconds();
  constexpr int swaps = 1001;  // odd: A is the last
  ActiveAdapters active;
  Stopwatch swapping;
  for (int i = 0; i < swaps; ++i) active = stage.model->activate(i % 2 ? b : a);
  double swap_seconds = swapping.seconds() / swaps;
  sample_logits(*stage.model, stage.model->activate(b), who.data.test);
  bool equal =
      sample_logits(*stage.model, active, who.data.test) == sample_logits(*own, own->activate(a), who.data.test);
  return {"swap",
          "adapters swap without reloading the base",
          fmt::format("swap {:.1f} us, loading {:.0f} us; {}", 1e6 * swap_seconds, 1e6 * load_seconds,
                      equal ? "equal bit for bit" : "logits differ"),
          equal && swap_seconds < load_seconds,
          {{"swap_seconds", swap_seconds}, {"load_seconds", load_seconds}, {"bit_equal", equal}}};
}

/// Both adapters at once on prompts that need both, which neither was trained for; the mean of the seeds' pairs.
DemoClaim compose_claim(const DemoStage& stage, const DemoTrained& who, const DemoTrained& cheer) {
  DemoTaskData both = demo_task_data(stage, DemoTask::cheerful_who);
  auto share = [&](const std::vector<WeightedAdapter>& adapters) {
    double right = exact_share(*stage.model, stage.model->activate(adapters), both.test);
    return right / static_cast<double>(who.folders.size());
  };
  double alone_a = 0, alone_b = 0, together = 0;
  std::string each;
  Json::Array pairs;
  for (std::size_t seed = 0; seed < who.folders.size(); ++seed) {
    Adapter a = open(stage, who, seed), b = open(stage, cheer, seed);
    alone_a += share({{a}});
    alone_b += share({{b}});
    double pair = share({{a}, {b}});
    together += pair;
    pair *= static_cast<double>(who.folders.size());
    each += percent(pair, 0) + " ";
    pairs.push_back(pair);
  }
  return {"compose",
          "two adapters compose: \"who\" + \"cheer\"",
          fmt::format("both: {}(mean {}); alone {} {}", each, percent(together, 0), percent(alone_a, 0),
                      percent(alone_b, 0)),
          together >= 0.8 && together > std::max(alone_a, alone_b),
          {{"both", together}, {"each_pair", pairs}, {"who_alone", alone_a}, {"cheer_alone", alone_b}}};
}

}  // namespace

std::vector<DemoClaim> use_claims(const DemoStage& stage, const DemoTrained& who, const DemoTrained& cheer,
                                  const std::string& scratch) {
  std::vector<DemoClaim> claims{size_claim(stage, who)};
  for (DemoClaim& claim : merge_claims(stage, who, scratch)) claims.push_back(std::move(claim));
  claims.push_back(swap_claim(stage, who, cheer));
  claims.push_back(compose_claim(stage, who, cheer));
  return claims;
}

}  // namespace loragrad
