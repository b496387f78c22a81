#include "app/training.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <limits>
#include <utility>

#include "app/console.h"
#include "app/device_memory.h"
#include "app/end_tokens.h"
#include "app/interrupt.h"
#include "app/learnable.h"
#include "app/saver.h"
#include "engine/error.h"
#include "io/atomic.h"
#include "io/mapped_file.h"
#include "train/filling.h"
#include "train/metrics.h"
#include "train/process_memory.h"
#include "train/progress.h"

namespace loragrad {
namespace {

constexpr double any = std::numeric_limits<double>::max();
constexpr std::int64_t many = 1'000'000'000;

/// An earlier run's metrics may be begun anew, and nothing else. Pipes, terminals and /dev/null lose nothing.
void require_metrics_file(const std::string& path) {
  namespace fs = std::filesystem;
  require_folder_of(path);
  if (fs::is_fifo(path) || fs::is_character_file(path) || !fs::exists(path)) return;
  if (!is_metrics(MappedFile::open(path)->text()))
    throw IoError(path + ": expected no file, or an earlier run's metrics, found something else");
}

/// The run's metrics. Nobody's training is given up for them: what cannot be written is warned of once.
class Metrics {
 public:
  /// Rows up to the step `after` stay.
  void open(const std::string& path, std::int64_t after) {
    guarded([&] { writer_.emplace(path, after); });
  }
  void write(const StepReport& report) {
    guarded([&] {
      if (writer_) writer_->write(report);
    });
  }
  void close() {
    guarded([&] {
      if (writer_) writer_->close();
    });
  }

 private:
  void guarded(const std::function<void()>& action) {
    try {
      action();
    } catch (const IoError& error) {
      writer_.reset();
      warn(std::string(error.what()) + "; the metrics end here, and the run goes on");
    }
  }
  std::optional<MetricsWriter> writer_;
};

}  // namespace

Json eval_json(const EvalReport& report) {
  return Json::Object{{"loss", report.loss},
                      {"perplexity", report.perplexity},
                      {"supervised_tokens", report.supervised_tokens},
                      {"tokens", report.tokens},
                      {"rows", report.rows},
                      {"seconds", report.seconds}};
}

void TrainingFlags::add(Flags& flags) {
  flags.text("data", data, "PATH", "training rows: a .jsonl or .txt file, or a folder with train.jsonl");
  flags.text("output", output, "DIR", "the folder to write");
  flags.number("lr", options.lr, 0, any, "learning rate");
  flags.number("weight-decay", options.weight_decay, 0, any, "AdamW's decoupled weight decay");
  flags.number("beta1", options.beta1, 0, 1, "AdamW's first beta, below 1");
  flags.number("beta2", options.beta2, 0, 1, "AdamW's second beta, below 1");
  flags.number("eps", options.eps, 0, any, "AdamW's epsilon");
  flags.choice("schedule", schedule, {"linear", "constant", "cosine"}, "of the learning rate, as transformers'");
  flags.integer("warmup-steps", options.warmup_steps, 0, many, "steps over which the learning rate rises");
  flags.number("clip", options.clip, 0, any, "largest norm of all gradients together; 0: off");
  flags.integer("batch-size", options.batch_size, 1, many, "rows taken at once");
  flags.integer("grad-accum", options.grad_accum, 1, many, "batches of a step");
  flags.integer("max-tokens-per-batch", options.max_tokens_per_batch, 0, many,
                "take a step's rows together by their tokens, up to so many; 0: --batch-size rows. The same result");
  flags.integer("micro-batch", options.micro_batch, 0, many,
                "rows taken at once, where --batch-size would take too much memory; 0: as many. The same result");
  flags.toggle("checkpoint-activations", options.checkpoint_activations,
               "keep each block's input alone and run the block again in backward: less memory, more time");
  flags.bytes("max-memory", max_memory, "peak memory to stay within, by the forecast; changes how, not what");
  flags.integer("steps", options.steps, 1, many, "optimiser steps, going around the rows as often as it takes");
  flags.integer("epochs", options.epochs, 1, many, "times over all rows, unless --steps says when to end");
  flags.seed("seed", options.seed, "of order, initial values and dropout");
  flags.toggle("no-shuffle", no_shuffle, "take the rows in the file's order");
  flags.text("eval-data", eval_data, "PATH", "rows to evaluate on: a file, or a folder with valid.jsonl");
  flags.integer("eval-every", options.eval_every, 0, many, "steps between evaluations; 0: only at the end");
  flags.integer("early-stop", options.early_stop, 0, many,
                "end after so many evaluations in a row without a lower loss; 0: never");
  flags.list("sample-prompt", sample_prompts, "TEXT", "continue it at each evaluation and at the end, on stderr");
  flags.text("metrics", metrics, "FILE", "a line of JSON for each step (default: OUTPUT/metrics.jsonl)");
  save.add(flags);
  flags.toggle("overwrite", overwrite, "replace an earlier output");
  flags.config("config");
  flags.toggle("json", json, "print the result as JSON to stdout, all else to stderr");
  flags.require({"data"});
}

void TrainingFlags::finish(std::vector<InputPath> inputs) {
  options.schedule = *schedule_named(schedule);
  options.shuffle = !no_shuffle;
  if (options.eval_every > 0 && !eval_data)
    throw UsageError("--eval-every: expected --eval-data beside it, found none");
  if (options.early_stop > 0 && options.eval_every == 0)
    throw UsageError("--early-stop: expected --eval-every beside it, found none");
  options.check();
  save.check();
  options.copies_state = !save.every.empty();
  inputs.push_back({"data", data});
  if (eval_data) inputs.push_back({"eval-data", *eval_data});
  std::vector<OutputPath> outputs;
  if (!output.empty()) {
    output = folder_path(output);
    // Named or not: it comes with the folder.
    if (metrics && same_path(*metrics, output + "/metrics.jsonl")) metrics.reset();
    outputs.push_back({OutputPath::Kind::folder, "output", output});
  }
  if (metrics) outputs.push_back({OutputPath::Kind::file, "metrics", *metrics});
  require_apart(outputs, inputs);
  if (metrics) require_metrics_file(*metrics);
}

TrainingData open_training_data(const TrainingFlags& flags, const DataFlags& data, const Tokenizer* tokenizer,
                                const ModelConfig& config, const std::string& folder,
                                const std::optional<std::vector<std::string>>& adapters) {
  TrainingData sets{data.open(flags.data, "train", tokenizer, config, folder, std::nullopt), std::nullopt};
  stop_if_interrupted();
  if (flags.eval_data) sets.eval = data.open(*flags.eval_data, "valid", tokenizer, config, folder, adapters);
  stop_if_interrupted();
  check_rates(flags.options, static_cast<std::int64_t>(sets.train.rows.size()));
  if (!data.no_eos) warn_of_end_tokens(config, tokenizer, sets.train);
  warn_of_rows(sets.train);
  if (sets.eval) warn_of_rows(*sets.eval);
  sets.samples = sample_prompts(flags.sample_prompts, tokenizer, config, folder);
  return sets;
}

void report_plan(const TrainingFlags& flags, const std::string& line) { return flags.json ? note(line) : say(line); }

std::string filling_text(const Dataset& data, const TrainOptions& options) {
  if (options.max_tokens_per_batch == 0) return "";
  Filling filling = filling_of(data, options);
  return fmt::format("{:.1f} a step, of {:.0f} tokens on average (up to {}), instead of {:.1f} by rows",
                     filling.batches_a_step(), filling.tokens_a_batch(), grouped(options.max_tokens_per_batch),
                     filling.rows_batches_a_step());
}

void report_data(const TrainingFlags& flags, const TrainingData& data) {
  auto line = [&](const char* label, const Dataset& set) {
    report_plan(flags, fmt::format("{}: {} rows ({}), {} tokens, {} supervised", label,
                                   grouped(static_cast<std::int64_t>(set.rows.size())), set.format, grouped(set.tokens),
                                   grouped(set.supervised_tokens)));
  };
  line("data", data.train);
  if (data.eval) line("evaluation data", *data.eval);
  std::int64_t steps = flags.options.total_steps(static_cast<std::int64_t>(data.train.rows.size()));
  report_plan(flags, fmt::format("steps: {} of {} rows", grouped(steps), grouped(flags.options.rows_per_step())));
  if (std::string text = filling_text(data.train, flags.options); !text.empty())
    report_plan(flags, "micro-batches: " + text);
}

MemoryPlan plan_within_limit(const TrainingFlags& flags, const Dataset& data, const DevicePtr& device,
                             const Forecaster& forecast, bool goes_on) {
  std::size_t longest = 0;
  for (const Row& row : data.rows) longest = std::max(longest, row.input_ids.size());
  auto tokens = static_cast<std::int64_t>(longest);
  bool own_memory = !device->shares_host_memory();
  std::size_t limit = own_memory ? available_on(*device) : flags.max_memory.value_or(0);
  MemoryPlan plan = flags.max_memory ? plan_memory(flags.options, limit, tokens, forecast, goes_on)
                                     : MemoryPlan{flags.options, forecast.real(flags.options), 0};
  plan.available = own_memory ? limit : available_bytes();
  if (auto of_process = memory_limit(); !own_memory && of_process && of_process->left <= plan.available)
    plan.limit = of_process;
  if (std::string text = memory_warning(plan, flags.options, tokens, forecast); !text.empty()) {
    if (own_memory || plan.limit) throw OutOfMemory(text);
    warn(text);
  }
  return plan;
}

void report_memory(const TrainingFlags& flags, const MemoryPlan& plan) {
  const Forecast& f = plan.forecast;
  report_plan(flags, f.own_memory ? device_forecast_text(f)
                                  : fmt::format("predicted peak memory: {} ({})", bytes_text(f.total()),
                                                forecast_parts_text(f)));
  if (std::string measures = plan.measures(flags.options); !measures.empty())
    report_plan(flags, fmt::format("to stay within {}: {}", bytes_text(*flags.max_memory), measures));
}

Json::Object memory_json(const MemoryPlan& plan) {
  Json::Object parts;
  for (const auto& [name, bytes] : forecast_parts(plan.forecast)) parts.emplace_back(name, bytes);
  Json::Object json{{"predicted_peak_bytes", plan.forecast.total()},
                    {"predicted", std::move(parts)},
                    {"available_bytes", plan.available},
                    {"checkpoint_activations", plan.options.checkpoint_activations},
                    {"rows_at_once", plan.options.rows_at_once()}};
  if (plan.forecast.own_memory) json.emplace_back("predicted_host_bytes", plan.forecast.process);
  return json;
}

TrainingOutcome run_training(const CausalLm& model, const Adapter* adapter, const TrainingData& data,
                             const TrainingFlags& flags, const TrainingRun& run) {
  const TrainState* from = run.from ? &run.from->state : nullptr;
  std::int64_t before = from ? from->result.steps : 0;
  std::string metrics_path = flags.metrics ? *flags.metrics : run.output.file(metrics_file);
  Metrics metrics;
  Progress progress;
  progress.total_steps = flags.options.total_steps(static_cast<std::int64_t>(data.train.rows.size()), from);
  Samples samples(model, adapter, run.tokenizer, data.samples);
  Saver saver(flags.save, run.output.checkpoints(), adapter, run.record, metrics_path);
  // Where an earlier part of the run kept one it is kept up.
  bool keeps_best = adapter && (flags.options.eval_every > 0 || (from && run.output.has_best(from->result.best)));
  bool begun = false;
  // Of a run that fails before its first step nothing is to be seen.
  auto begin = [&] {
    if (std::exchange(begun, true)) return;
    run.output.begin(from != nullptr);
    if (from) run.output.keep_best(from->result.best);
    metrics.open(metrics_path, before);
    try {
      write_file(run.output.file(run_file), run.config);
    } catch (const IoError& error) {
      warn(std::string(error.what()) + "; the run goes on without it");
    }
  };
  TrainObserver observer;
  if (run.times) observer.on_phase = [times = run.times](StepPhase phase) { times->phase_begins(phase); };
  observer.on_step = [&](const StepReport& report) {
    begin();
    if (run.times) run.times->step_ends(report);
    metrics.write(report);
    progress.step_ends(report);
    show_progress(progress.share(), progress_text(progress));
  };
  observer.on_eval = [&](std::int64_t step, const EvalReport& report) {
    note(fmt::format("evaluation after step {}: loss {:.4f}, perplexity {:.3f}", step, report.loss, report.perplexity));
    // What has been trained is not given up for it.
    if (!report.not_finite.empty()) warn(report.not_finite);
    samples.write(step);
  };
  observer.on_best = [&](const TrainResult::Best& best) {
    if (!keeps_best) return;
    begin();
    try {
      run.output.save_best(*adapter, best);
    } catch (const NumericError&) {
      throw;
    } catch (const std::exception& error) {
      warn(fmt::format("{}; {}the run goes on", error.what(),
                       run.output.has_best(best) ? "" : "the best adapter is not kept, and "));
    }
  };
  observer.after_step = [&](const TrainPoint& point) { saver.after_step(point); };
  observer.stop = [] { return interrupted_by() != 0; };
  TrainResult result = train(model, adapter, data.train, run.options, data.eval ? &*data.eval : nullptr, observer,
                             data.eval_adapters, from);
  begin();
  end_progress_line();
  warn_if_nothing_was_learnt(result);
  // The last update has no next step that would find out; of an adapter, the saving does.
  if (!adapter) warn_of_bad_weights(model, "the trained");
  metrics.close();
  if (!result.stopped) samples.write(result.steps);
  return {result, samples.last(), saver.failure()};
}

void commit_output(OutputFolder& folder, std::string& output) {
  std::string place = folder.commit();
  if (place != output)
    warn(output + ": something came into this folder meanwhile, which stays; the new output is " + place);
  output = place;
}

CardFacts card_facts(const TrainingFlags& flags, const DataFlags& data_flags, const TrainingData& data,
                     const TrainResult& result) {
  // Names, not paths: a card is read elsewhere.
  auto name = [](const std::string& path) {
    std::filesystem::path normal = std::filesystem::path(path).lexically_normal();
    return (normal.has_filename() ? normal : normal.parent_path()).filename().string();
  };
  CardFacts facts;
  facts.data = name(flags.data);
  if (flags.eval_data) facts.eval_data = name(*flags.eval_data);
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

int report_result(const TrainingFlags& flags, const TrainingOutcome& outcome, std::int64_t trainable,
                  std::int64_t parameters, const MemoryPlan& memory, const std::string& best_folder,
                  const Json& profile) {
  const TrainResult& result = outcome.result;
  bool interrupted = result.stopped && interrupted_by() != 0;
  if (flags.json) {
    Json json = Json::Object{{"output", flags.output},
                             {"steps", result.steps},
                             {"interrupted", interrupted},
                             {"loss", result.loss ? Json(*result.loss) : Json()},
                             {"eval", result.eval ? eval_json(*result.eval) : Json()},
                             {"best", best_json(result, best_folder)},
                             {"early_stopped", result.early_stopped},
                             {"samples", outcome.samples},
                             {"tokens", result.tokens},
                             {"supervised_tokens", result.supervised_tokens},
                             {"seconds", result.seconds},
                             {"trainable_parameters", trainable},
                             {"all_parameters", parameters},
                             {"peak_bytes", peak_resident_bytes()},
                             {"memory", memory_json(memory)}};
    if (result.device_peak_bytes) json.set("device_peak_bytes", *result.device_peak_bytes);
    if (!std::holds_alternative<std::nullptr_t>(profile.value())) json.set("profile", profile);
    // Whoever interrupts may have taken the terminal away.
    interrupted ? say(json.dump()) : print_json(json);
  } else {
    if (result.loss)
      say(fmt::format("loss {:.4f} at step {}", *result.loss, result.steps) +
          (result.eval ? fmt::format(", {:.4f} on the evaluation data", result.eval->loss) : ""));
    if (result.early_stopped)
      say(fmt::format("stopped early: {} evaluations without a lower loss", flags.options.early_stop));
    if (result.best && (flags.options.eval_every > 0 || !best_folder.empty())) say(best_text(result, best_folder));
    say(fmt::format("{}wrote {}{}", interrupted ? "interrupted; " : "", flags.output,
                    interrupted && outcome.not_saved.empty() ? "; --resume goes on with it" : ""));
  }
  if (!outcome.not_saved.empty()) throw IoError(outcome.not_saved + "; a checkpoint is missing, the output is there");
  return interrupted ? 128 + interrupted_by() : 0;
}

int report_nothing(const TrainingFlags& flags, const std::string& why, const Checkpoint& done, std::int64_t trainable,
                   std::int64_t parameters, const MemoryPlan& memory, const std::string& best_folder) {
  note("nothing left to do: " + why);
  if (!flags.json) return 0;
  return report_result(flags, {done.state.result, {}}, trainable, parameters, memory, best_folder);
}

}  // namespace loragrad
