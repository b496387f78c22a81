#include "app/flags/training_flags.h"

#include <filesystem>
#include <limits>

#include "app/inputs.h"
#include "engine/error.h"
#include "io/mapped_file.h"
#include "train/metrics.h"

namespace loragrad {
namespace {

constexpr double any = std::numeric_limits<double>::max();
constexpr std::int64_t many = TrainOptions::many, most_rows = TrainOptions::most_rows;

/// An earlier run's metrics may be begun anew, and nothing else. Pipes, terminals and /dev/null lose nothing.
void require_metrics_file(const std::string& path) {
  namespace fs = std::filesystem;
  require_folder_of(path);
  if (fs::is_fifo(path) || fs::is_character_file(path) || !fs::exists(path)) return;
  if (!is_metrics(MappedFile::open(path)->text()))
    throw IoError(path + ": expected no file, or an earlier run's metrics, found something else");
}

}  // namespace

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
  flags.integer("batch-size", options.batch_size, 1, most_rows, "rows taken at once");
  flags.integer("grad-accum", options.grad_accum, 1, most_rows, "batches of a step");
  flags.integer("max-tokens-per-batch", options.max_tokens_per_batch, 0, many,
                "take a step's rows together by their tokens, up to so many; 0: --batch-size rows. The same result");
  flags.integer("micro-batch", options.micro_batch, 0, most_rows,
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
  try {
    options.check();
  } catch (const UsageError& error) {
    throw UsageError("--" + std::string(error.what()));
  }
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

}  // namespace loragrad
