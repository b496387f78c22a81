#include <fmt/format.h>

#include "app/commands.h"
#include "app/console.h"
#include "app/inputs.h"
#include "app/interrupt.h"
#include "engine/error.h"
#include "train/output.h"

namespace loragrad {

int run_merge(const Words& words) {
  Flags flags("merge", "Adds adapters to a model's weights and writes a full checkpoint that transformers loads.");
  std::string model_folder, output_folder;
  std::vector<std::string> adapter_arguments;
  ComputeFlags compute;
  bool overwrite = false, json = false;
  flags.text("model", model_folder, "DIR", "a Hugging Face model folder");
  flags.list("adapter", adapter_arguments, "DIR[:WEIGHT]", "an adapter to merge; several add up");
  flags.text("output", output_folder, "DIR", "the folder to write");
  flags.toggle("overwrite", overwrite, "replace an earlier output");
  compute.add(flags);
  flags.toggle("json", json, "print the result as JSON");
  flags.require({"model", "adapter", "output"});
  if (!flags.parse(words)) return print(flags.help()), 0;
  require_folder_with(model_folder, "config.json");
  std::vector<std::string> inputs{model_folder};
  for (const std::string& argument : adapter_arguments) inputs.push_back(AdapterArgument::parse(argument).folder);
  require_apart(output_folder, inputs);

  std::unique_ptr<CausalLm> model = load_model(model_folder, compute.device(), compute.load_options());
  std::vector<WeightedAdapter> adapters = open_adapters(adapter_arguments, *model);
  catch_interrupts();
  TrainingOutput output(output_folder, overwrite);
  MergeReport report = merge_checkpoint(*model, model_folder, adapters, output.file(""));
  stop_if_interrupted();
  output.commit();
  if (json) {
    print_json(Json::Object{{"output", output_folder},
                            {"tensors", report.tensors},
                            {"merged", report.merged},
                            {"largest_logit_difference", report.largest_logit_difference},
                            {"largest_logit", report.largest_logit},
                            {"sample_tokens", report.sample_tokens}});
  } else {
    print(fmt::format("merged {} of {} tensors\n", report.merged, report.tensors));
    print(fmt::format(
        "largest logit difference, merged against adapter: {:.3g} (largest logit {:.3g}, {} sample tokens)\n",
        report.largest_logit_difference, report.largest_logit, report.sample_tokens));
    print(fmt::format("wrote {}\n", output_folder));
  }
  return 0;
}

}  // namespace loragrad
