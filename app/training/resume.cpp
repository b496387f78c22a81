#include "app/training/resume.h"

#include <fmt/format.h>

#include "app/terminal/console.h"
#include "engine/error.h"

namespace loragrad {
namespace {

std::int64_t rows_of(const TrainingData& data) { return static_cast<std::int64_t>(data.train.rows.size()); }

}  // namespace

std::optional<Checkpoint> find_checkpoint(TrainingFlags& flags, const RunFolder& output) {
  if (!flags.save.resume) return std::nullopt;
  std::vector<std::string> warnings;
  std::optional<Checkpoint> found = newest_checkpoint(output.checkpoints(), warnings);
  for (const std::string& warning : warnings) warn(warning);
  if (!found) {
    note(fmt::format("--resume: no checkpoint in {}: the run begins anew", path_text(flags.output)));
    return found;
  }
  // Within what is asked for now: another --batch-size is refused later, by its name.
  std::int64_t& rows = flags.options.micro_batch;
  if (rows == 0 && found->run.micro_batch <= flags.options.most_rows_at_once()) rows = found->run.micro_batch;
  return found;
}

RunRecord run_record(const TrainingFlags& flags, const DataFlags& data_flags, const TrainingData& data,
                     const TrainOptions& options, const std::string& device, const TrainState* from) {
  RunRecord record;
  record.add(options);
  record.data_options = {{"seq-len", fmt::to_string(data_flags.seq_len)},
                         {"no-eos", data_flags.no_eos ? "yes" : "no"},
                         {"last-turn-only", data_flags.last_turn_only ? "yes" : "no"}};
  record.data = rows_hash(data.train);
  if (data.eval) record.eval_data = rows_hash(*data.eval);
  record.device = device;
  record.steps = flags.options.total_steps(rows_of(data), from);
  record.micro_batch = options.micro_batch;
  return record;
}

void check_resume(const TrainingFlags& flags, Checkpoint& checkpoint, const RunRecord& now) {
  RunDifferences found = differences(checkpoint.run, now);
  // What a limit of memory led to is noted, what was asked for is not taken for another.
  std::int64_t asked = flags.options.micro_batch, then = checkpoint.run.micro_batch;
  if (asked > 0 && asked != then) found.refused.push_back(fmt::format("--micro-batch {} instead of {}", asked, then));
  if (!found.refused.empty()) {
    std::string text = path_text(checkpoint.folder) + ": expected the run that left it, found ";
    if (!flags.save.force_resume)
      throw InputError(text + list_text(found.refused) + " (--force-resume goes on all the same)");
    warn(text + list_text(found.refused));
  }
  note(fmt::format("resumes after step {} from {}", grouped(checkpoint.state.result.steps),
                   path_text(checkpoint.folder)));
  for (const std::string& text : found.notes) note("resume: " + text);
  if (found.other_eval_data) {
    checkpoint.state.result.best.reset();
    checkpoint.state.evaluations_since_best = 0;
  }
}

std::string nothing_left(const TrainingFlags& flags, const TrainingData& data, const RunFolder& output,
                         const Checkpoint& checkpoint) {
  const TrainState& state = checkpoint.state;
  const TrainOptions& options = flags.options;
  bool evaluated = !data.eval || state.evaluated == state.result.steps;
  if (output.found() != EarlierOutput::finished || !evaluated) return "";
  std::int64_t done = state.result.steps, total = options.total_steps(rows_of(data), &state);
  if (done >= total) return fmt::format("{} has all {} steps", path_text(flags.output), grouped(done));
  if (options.early_stop > 0 && state.evaluations_since_best >= options.early_stop)
    return fmt::format("{} stopped early after {} of {} steps; a larger --early-stop goes on", path_text(flags.output),
                       grouped(done), grouped(total));
  return "";
}

}  // namespace loragrad
