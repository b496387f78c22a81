#include <fmt/format.h>

#include "app/adapters.h"
#include "app/commands.h"
#include "app/inputs.h"
#include "app/model_to_load.h"
#include "app/paths.h"
#include "app/terminal/console.h"
#include "app/terminal/interrupt.h"
#include "engine/error.h"
#include "io/atomic.h"
#include "io/hub_cache.h"
#include "io/sharded_writer.h"
#include "models/trained_parameters.h"
#include "train/model_card.h"
#include "train/output.h"
#include "train/use_forecast.h"

namespace loragrad {
namespace {

/// Which weights are too coarse for what the adapters change; "" where none is.
std::string lost_text(const MergeReport& report) {
  if (report.mostly_lost == 0) return "";
  return fmt::format(
      "rounding to {} has lost most of the adapter in {} of {} weights ({} kept {:.3g} % of its change, all of them "
      "{:.3g} "
      "%): use the adapter beside the base, or merge into a base in f32",
      name_of(report.lost_to), report.mostly_lost, report.merged, report.least, 100 * report.least_kept,
      100 * report.kept);
}

}  // namespace

int run_merge(const Words& words) {
  Flags flags("merge", "Adds adapters to a model's weights and writes a full checkpoint that transformers loads.");
  std::string model_folder, output_folder;
  std::vector<std::string> adapter_arguments;
  ComputeFlags compute;
  compute.precision = "f32";
  std::optional<std::size_t> shard_size;
  bool overwrite = false, json = false;
  flags.text("model", model_folder, "DIR", "a Hugging Face model folder");
  flags.list("adapter", adapter_arguments, "DIR[:WEIGHT]", "an adapter to merge; several add up");
  flags.text("output", output_folder, "DIR", "the folder to write");
  flags.bytes("shard-size", shard_size, "of one file of weights at most; 5GB where it is not given");
  flags.toggle("overwrite", overwrite, "replace an earlier output");
  compute.add(flags, false);
  flags.toggle("json", json, "print the result as JSON");
  flags.require({"model", "adapter", "output"});
  if (!flags.parse(words)) return print(flags.help()), 0;
  require_unnamed(adapter_arguments, "a merged model is one for all rows");
  model_folder = needed_folder(model_folder, "config.json");
  output_folder = folder_path(output_folder);
  require_apart({{OutputPath::Kind::folder, "output", output_folder}}, input_paths(model_folder, adapter_arguments));

  ModelToLoad source(compute, model_folder);
  auto forecast = [&](const CausalLm& outline, const std::vector<WeightedAdapter>& adapters) {
    return forecast_merge(outline, model_folder, adapters);
  };
  std::unique_ptr<CausalLm> model = source.load(adapter_arguments, forecast);
  std::vector<WeightedAdapter> adapters = source.use([&] {
    std::vector<WeightedAdapter> opened = open_adapters(adapter_arguments, {*model, model_folder});
    put_parameters(*model, opened);
    return opened;
  });
  catch_interrupts();
  OutputFolder output(output_folder, overwrite);
  MergeReport report = source.use([&] {
    return write_merged_model(*model, model_folder, adapters, output.file(""), shard_size.value_or(largest_shard));
  });
  write_file(output.file("README.md"), merged_card(base_name_of(model_folder), adapter_arguments));
  stop_if_interrupted();
  commit_output(output, output_folder);
  if (std::string lost = lost_text(report); !lost.empty()) warn(output_folder + ": " + lost);
  if (json) {
    print_json(Json::Object{{"output", output_folder},
                            {"tensors", report.tensors},
                            {"merged", report.merged},
                            {"largest_logit_difference", report.largest_logit_difference},
                            {"largest_adapter_effect", report.largest_adapter_effect},
                            {"largest_logit", report.largest_logit},
                            {"kept", report.kept},
                            {"sample_tokens", report.sample_tokens}});
  } else {
    say(fmt::format("merged {} of {} tensors", report.merged, report.tensors));
    say(fmt::format(
        "largest logit difference, merged against adapter: {:.3g}, adapter against base: {:.3g} (in {}; largest logit "
        "{:.3g}, {} sample tokens)",
        report.largest_logit_difference, report.largest_adapter_effect, name_of(model->compute_dtype()),
        report.largest_logit, report.sample_tokens));
    say(fmt::format("kept of the adapter's change after rounding: {:.4g} %", 100 * report.kept));
    say(fmt::format("wrote {}", output_folder));
  }
  return 0;
}

}  // namespace loragrad
