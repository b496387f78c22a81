#include <fmt/format.h>

#include <algorithm>

#include "app/demo/claims.h"

namespace loragrad {
namespace {

/// Accuracies are shares of 300 prompts: two points are within what another seed changes.
constexpr double on_par = 0.02;
/// Forgetting is compared where every training came to this.
constexpr double demo_learned = 0.95;

double mean(const std::vector<DemoOutcome>& outcomes, double DemoOutcome::*what) {
  double sum = 0;
  for (const DemoOutcome& outcome : outcomes) sum += outcome.*what;
  return sum / static_cast<double>(outcomes.size());
}

bool all_learned(const std::vector<DemoOutcome>& outcomes) {
  return std::all_of(outcomes.begin(), outcomes.end(), [](const DemoOutcome& o) { return o.accuracy >= demo_learned; });
}

Json::Array each(const std::vector<DemoOutcome>& outcomes, double DemoOutcome::*what) {
  Json::Array list;
  for (const DemoOutcome& outcome : outcomes) list.push_back(outcome.*what);
  return list;
}

DemoClaim accuracy_claim(const DemoTrained& t) {
  const char* task = name_of(t.data.task);
  double lora = mean(t.lora, &DemoOutcome::accuracy), full = mean(t.full, &DemoOutcome::accuracy);
  return {fmt::format("accuracy_{}", task),
          fmt::format("task \"{}\": on par with full fine-tuning", task),
          fmt::format("right: before {}, LoRA {}, full {}", percent(t.before), percent(lora), percent(full)),
          lora >= full - on_par && lora > t.before,
          {{"before", t.before},
           {"lora", each(t.lora, &DemoOutcome::accuracy)},
           {"full", each(t.full, &DemoOutcome::accuracy)},
           {"held_out_prompts", t.data.test.rows.size()},
           {"lora_train_seconds", each(t.lora, &DemoOutcome::seconds)},
           {"full_train_seconds", each(t.full, &DemoOutcome::seconds)}}};
}

DemoClaim forgetting_claim(const DemoStage& stage, const DemoTrained& t) {
  const char* task = name_of(t.data.task);
  double lora = mean(t.lora, &DemoOutcome::story_loss), full = mean(t.full, &DemoOutcome::story_loss);
  bool learned = all_learned(t.lora) && all_learned(t.full);
  return {fmt::format("forgetting_{}", task),
          fmt::format("\"{}\" learned: forgets its stories less", task),
          learned ? fmt::format("loss: before {:.3f}, LoRA {:.3f}, full {:.3f}", stage.story_loss, lora, full)
                  : "not all trainings learned it",
          learned && lora < full,
          {{"before", stage.story_loss},
           {"learned", learned},
           {"lora", each(t.lora, &DemoOutcome::story_loss)},
           {"full", each(t.full, &DemoOutcome::story_loss)}}};
}

}  // namespace

std::vector<DemoClaim> quality_claims(const DemoStage& stage, const std::vector<DemoTrained>& tasks) {
  std::vector<DemoClaim> claims;
  for (const DemoTrained& task : tasks) claims.push_back(accuracy_claim(task));
  for (const DemoTrained& task : tasks) claims.push_back(forgetting_claim(stage, task));
  return claims;
}

DemoClaim rank_claim(const DemoStage& stage, const DemoTrained& who) {
  DemoClaim claim{"rank", "ranks 2, 4, 8, 16: 2 is on par with 16", "", false, {}};
  std::string right;
  double lowest = 0, highest = 0;
  for (std::int64_t rank : {2, 4, 8, 16}) {
    DemoOutcome outcome = who.lora[0];
    if (rank != demo_rank) demo_train_lora(stage, who.data, rank, stage.scale.base_seed, outcome);
    if (rank == 2) lowest = outcome.accuracy;
    highest = outcome.accuracy;
    right += fmt::format(" {:.0f}", 100 * outcome.accuracy);
    claim.values.emplace_back(fmt::format("r{}", rank), outcome.accuracy);
  }
  claim.measured = fmt::format("right: before {}, then{}%", percent(who.before), right);
  claim.holds = lowest >= highest - on_par && lowest > who.before;
  return claim;
}

}  // namespace loragrad
