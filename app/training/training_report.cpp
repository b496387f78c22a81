#include "app/training/training_report.h"

#include <fmt/format.h>

#include "app/terminal/console.h"
#include "app/terminal/interrupt.h"
#include "app/training/training_plan.h"
#include "engine/error.h"
#include "io/siblings.h"
#include "train/process_memory.h"

namespace loragrad {

Json eval_json(const EvalReport& report) {
  return Json::Object{{"loss", report.loss},
                      {"perplexity", report.perplexity},
                      {"supervised_tokens", report.supervised_tokens},
                      {"tokens", report.tokens},
                      {"rows", report.rows},
                      {"seconds", report.seconds}};
}

CardFacts card_facts(const TrainingFlags& flags, const DataFlags& data_flags, const TrainingData& data,
                     const TrainResult& result) {
  CardFacts facts;
  // Names, not paths: a card is read elsewhere.
  facts.data = last_name(flags.data);
  if (flags.eval_data) facts.eval_data = last_name(*flags.eval_data);
  facts.rows = static_cast<std::int64_t>(data.train.rows.size());
  facts.supervised_tokens = data.train.supervised_tokens;
  facts.seq_len = data_flags.seq_len;
  facts.options = flags.options;
  facts.result = result;
  return facts;
}

namespace {

/// Which evaluation was the best, and where its adapter is.
std::string best_text(const TrainResult& result, const std::string& best_folder) {
  std::string text = fmt::format("best evaluation: loss {:.4f} after step {}", result.best->loss, result.best->step);
  if (best_folder.empty()) return text + (result.best->step == result.steps ? ", the last" : ", not kept");
  if (result.best->step == result.steps) return text + fmt::format(", the last: {} is the same", best_folder);
  return text + fmt::format(", kept in {}; the adapter around it is the last, of step {}", best_folder, result.steps);
}

Json best_json(const TrainResult& result, const std::string& best_folder) {
  if (!result.best) return {};
  return Json::Object{{"step", result.best->step},
                      {"loss", result.best->loss},
                      {"folder", best_folder.empty() ? Json() : Json(best_folder)}};
}

}  // namespace

int report_result(const TrainingFlags& flags, const TrainingOutcome& outcome, const RunFacts& run) {
  const TrainResult& result = outcome.result;
  bool interrupted = result.stopped && interrupted_by() != 0;
  if (flags.json) {
    Json json = Json::Object{{"output", flags.output},
                             {"steps", result.steps},
                             {"interrupted", interrupted},
                             {"loss", result.loss ? Json(*result.loss) : Json()},
                             {"eval", result.eval ? eval_json(*result.eval) : Json()},
                             {"best", best_json(result, run.best_folder)},
                             {"early_stopped", result.early_stopped},
                             {"samples", outcome.samples},
                             {"tokens", result.tokens},
                             {"supervised_tokens", result.supervised_tokens},
                             {"seconds", result.seconds},
                             {"trainable_parameters", run.trainable},
                             {"all_parameters", run.parameters},
                             {"peak_bytes", peak_resident_bytes()},
                             {"memory", memory_json(run.memory)}};
    if (result.device_peak_bytes) json.set("device_peak_bytes", *result.device_peak_bytes);
    if (!std::holds_alternative<std::nullptr_t>(run.profile.value())) json.set("profile", run.profile);
    // Whoever interrupts may have taken the terminal away.
    interrupted ? say(json.dump()) : print_json(json);
  } else {
    if (result.loss)
      say(fmt::format("loss {:.4f} at step {}", *result.loss, result.steps) +
          (result.eval ? fmt::format(", {:.4f} on the evaluation data", result.eval->loss) : ""));
    if (result.early_stopped)
      say(fmt::format("stopped early: {} evaluations without a lower loss", flags.options.early_stop));
    if (result.best && (flags.options.eval_every > 0 || !run.best_folder.empty()))
      say(best_text(result, run.best_folder));
    say(fmt::format("{}wrote {}{}", interrupted ? "interrupted; " : "", flags.output,
                    interrupted && outcome.not_saved.empty() ? "; --resume goes on with it" : ""));
  }
  if (!outcome.not_saved.empty()) throw IoError(outcome.not_saved + "; a checkpoint is missing, the output is there");
  return interrupted ? 128 + interrupted_by() : 0;
}

int report_nothing(const TrainingFlags& flags, const std::string& why, const Checkpoint& done, const RunFacts& run) {
  note("nothing left to do: " + why);
  if (!flags.json) return 0;
  return report_result(flags, {done.state.result, {}}, run);
}

}  // namespace loragrad
