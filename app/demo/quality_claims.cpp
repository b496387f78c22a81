#include <fmt/format.h>

#include "app/demo/claims.h"

namespace loragrad {
namespace {

/// Accuracies are shares of 300 prompts: two points are within what another seed changes.
constexpr double on_par = 0.02;

DemoClaim accuracy_claim(const DemoTrained& t) {
  const char* task = name_of(t.data.task);
  return {fmt::format("accuracy_{}", task),
          fmt::format("task \"{}\": on par with full fine-tuning", task),
          fmt::format("right: before {}, LoRA {}, full {}", percent(t.before), percent(t.lora.accuracy),
                      percent(t.full.accuracy)),
          t.lora.accuracy >= t.full.accuracy - on_par && t.lora.accuracy > t.before,
          {{"before", t.before},
           {"lora", t.lora.accuracy},
           {"full", t.full.accuracy},
           {"held_out_prompts", t.data.test.rows.size()},
           {"lora_train_seconds", t.lora.seconds},
           {"full_train_seconds", t.full.seconds}}};
}

DemoClaim forgetting_claim(const DemoStage& stage, const DemoTrained& t) {
  const char* task = name_of(t.data.task);
  return {fmt::format("forgetting_{}", task),
          fmt::format("after \"{}\": forgets its stories less", task),
          fmt::format("loss: before {:.3f}, LoRA {:.3f}, full {:.3f}", stage.story_loss, t.lora.story_loss,
                      t.full.story_loss),
          t.lora.story_loss < t.full.story_loss,
          {{"before", stage.story_loss}, {"lora", t.lora.story_loss}, {"full", t.full.story_loss}}};
}

}  // namespace

std::vector<DemoClaim> quality_claims(const DemoStage& stage, const std::vector<DemoTrained>& tasks) {
  std::vector<DemoClaim> claims;
  for (const DemoTrained& task : tasks) claims.push_back(accuracy_claim(task));
  for (const DemoTrained& task : tasks) claims.push_back(forgetting_claim(stage, task));
  return claims;
}

DemoClaim rank_claim(DemoStage& stage, const DemoTrained& who) {
  DemoClaim claim{"rank", "rank 2 is on par with rank 16", "", false, {}};
  double lowest = 0, highest = 0;
  for (std::int64_t rank : {2, 4, 8, 16}) {
    DemoOutcome outcome = who.lora;
    if (rank != demo_rank) demo_train_lora(stage, who.data, rank, outcome);
    if (rank == 2) lowest = outcome.accuracy;
    highest = outcome.accuracy;
    claim.measured += fmt::format("{}{}: {}", rank == 2 ? "r " : ", ", rank, percent(outcome.accuracy));
    claim.values.emplace_back(fmt::format("r{}", rank), outcome.accuracy);
  }
  claim.holds = lowest >= highest - on_par && lowest > who.before;
  return claim;
}

}  // namespace loragrad
