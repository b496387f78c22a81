#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <limits>

#include "app/adapters.h"
#include "app/commands.h"
#include "app/end_tokens.h"
#include "app/inputs.h"
#include "app/model_to_load.h"
#include "app/terminal/console.h"
#include "app/terminal/interrupt.h"
#include "app/training/learnable.h"
#include "app/training/training_report.h"
#include "engine/error.h"
#include "engine/weight.h"
#include "io/atomic.h"
#include "io/safetensors.h"
#include "io/safetensors_write.h"
#include "train/evaluate.h"
#include "train/use_forecast.h"

namespace loragrad {
namespace {

namespace fs = std::filesystem;

/// A file of logits may replace an earlier one, and nothing else.
void require_logits_file(const std::string& path) {
  require_folder_of(path);
  if (!fs::exists(path) || (fs::is_regular_file(path) && fs::is_empty(path))) return;
  try {
    StoredTensors file = open_safetensors(path);
    if (std::all_of(file.tensors.begin(), file.tensors.end(), [](const StoredTensor& t) {
          return t.name.starts_with("row.") && t.dtype_name == "F32" && t.shape.size() == 2;
        }))
      return;
  } catch (const Error&) {
    // Not ours either.
  }
  throw IoError(path + ": expected no file, or an earlier file of logits, found something else");
}

std::string row_name(std::int64_t row) { return fmt::format("row.{}", row); }

/// The rows' logits as a file has them: [tokens, vocab] f32 each.
std::vector<TensorOutline> logits_outlines(const Dataset& data, std::int64_t vocab) {
  std::vector<TensorOutline> outlines;
  for (const Row& row : data.rows)
    outlines.push_back({row_name(static_cast<std::int64_t>(outlines.size())),
                        DType::f32,
                        {static_cast<std::int64_t>(row.input_ids.size()), vocab}});
  return outlines;
}

}  // namespace

int run_eval(const Words& words) {
  Flags flags("eval", "Loss and perplexity of a model, with or without adapters, over a data set.");
  std::string model_folder, data_path, split = "valid";
  std::vector<std::string> adapter_arguments;
  std::optional<std::string> logits_path;
  EvalOptions options;
  DataFlags data_flags;
  ComputeFlags compute;
  bool json = false;
  flags.text("model", model_folder, "DIR", "a Hugging Face model folder");
  flags.list("adapter", adapter_arguments, "[NAME=]DIR[:WEIGHT]",
             "an adapter to use, with a name for the rows that choose it; several add up");
  flags.text("data", data_path, "PATH", "a .jsonl or .txt file, or a folder");
  flags.choice("split", split, {"train", "valid", "test"}, "which .jsonl of a folder");
  flags.text("logits", logits_path, "FILE", "write each row's logits to a safetensors file, as row.0, row.1, ...");
  flags.integer("tokens-per-batch", options.tokens_per_batch, 1, std::numeric_limits<std::int32_t>::max(),
                "most tokens taken at once; a longer row goes alone");
  data_flags.add(flags);
  compute.add(flags);
  flags.toggle("json", json, "print the result as JSON");
  flags.require({"model", "data"});
  if (!flags.parse(words)) return print(flags.help()), 0;
  model_folder = needed_folder(model_folder, "config.json");
  if (flags.given("split") && !std::filesystem::is_directory(data_path))
    throw UsageError("--split: expected a folder as --data beside it, found " + data_path);
  std::optional<OutputLock> lock;
  std::vector<std::string> names = adapter_names(adapter_arguments);
  if (logits_path) {
    std::vector<InputPath> inputs = input_paths(model_folder, adapter_arguments);
    inputs.push_back({"data", data_path});
    require_apart({{OutputPath::Kind::file, "logits", *logits_path}}, inputs);
    require_logits_file(*logits_path);
    lock.emplace(*logits_path);
  }

  ModelToLoad source(compute, model_folder);
  std::optional<Tokenizer> tokenizer = find_tokenizer(model_folder);
  Dataset data = data_flags.open(data_path, split, pointer(tokenizer), source.config(), model_folder, names);
  if (!data_flags.no_eos) warn_of_end_tokens(source.config(), pointer(tokenizer), data);
  warn_of_rows(data);
  warn_of_unused_adapters(adapter_arguments, chosen_adapters(data));

  std::optional<SafetensorsWriter> logits;
  if (logits_path)
    options.logits = [&](std::int64_t row, const Tensor& values) {
      HostBytes bytes = Weight(values).on_host();
      logits->add(row_name(row), bytes.data, bytes.size);
    };
  auto forecast = [&](const CausalLm& outline, const std::vector<WeightedAdapter>& adapters) {
    return forecast_evaluation(outline, adapters, data, options);
  };
  std::unique_ptr<CausalLm> model = source.load(adapter_arguments, forecast);
  catch_interrupts();
  if (logits_path) logits.emplace(*logits_path, logits_outlines(data, model->head().shape().rows));
  options.stop = [] { return interrupted_by() != 0; };
  EvalReport report = source.use([&] {
    options.adapters = activate_adapters(*model, model_folder, adapter_arguments);
    return evaluate(*model, data, options);
  });
  stop_if_interrupted();
  if (logits) logits->commit();
  if (json)
    print_json(eval_json(report));
  else
    print_table({{"loss", fmt::format("{:.6f}", report.loss)},
                 {"perplexity", fmt::format("{:.4f}", report.perplexity)},
                 {"supervised tokens", grouped(report.supervised_tokens)},
                 {"tokens", grouped(report.tokens)},
                 {"rows", grouped(report.rows)},
                 {"seconds", fmt::format("{:.2f}", report.seconds)}});
  // After all that could be told has been.
  if (!report.not_finite.empty()) throw NumericError(report.not_finite);
  return 0;
}

}  // namespace loragrad
