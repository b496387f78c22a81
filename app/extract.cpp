#include <fmt/format.h>

#include <algorithm>

#include "app/commands.h"
#include "app/flags/lora_flags.h"
#include "app/inputs.h"
#include "app/paths.h"
#include "app/terminal/console.h"
#include "app/terminal/interrupt.h"
#include "models/files/extracted_adapter.h"
#include "ops/meta_device.h"
#include "train/model_card.h"
#include "train/output.h"

namespace loragrad {
namespace {

double share(double part, double whole) { return whole > 0 ? part / whole : 0; }

Json left_json(const std::vector<LeftTensor>& left) {
  Json::Array list;
  for (const LeftTensor& tensor : left)
    list.push_back(
        Json::Object{{"name", tensor.name}, {"norm", tensor.norm}, {"base_norm", tensor.base}, {"why", tensor.why}});
  return list;
}

void say_left(const std::vector<LeftTensor>& left) {
  if (left.empty()) return say("all that differs is in the adapter");
  say(fmt::format("not in the adapter, of what differs: {} {} (norm of the difference, and its part of the base's)",
                  left.size(), left.size() == 1 ? "tensor" : "tensors"));
  for (const LeftTensor& tensor : left)
    say(tensor.norm > 0 ? fmt::format("  {}  {:.4g}  {:.3g} %  {}", tensor.name, tensor.norm,
                                      100 * share(tensor.norm, tensor.base), tensor.why)
                        : fmt::format("  {}  {}", tensor.name, tensor.why));
}

}  // namespace

int run_extract(const Words& words) {
  Flags flags("extract", "Writes the adapter of a rank that is nearest to the difference of two checkpoints.");
  std::string model_folder, tuned_folder, output_folder, target = "all-linear";
  ExtractOptions options;
  std::int64_t threads = 0;
  bool overwrite = false, json = false;
  flags.text("model", model_folder, "DIR", "the base: a Hugging Face model folder");
  flags.text("tuned", tuned_folder, "DIR", "the same model, fine-tuned");
  flags.integer("rank", options.rank, 1, 65536, "r of A [r, in] and B [out, r]");
  flags.text("target", target, "NAMES", "q_proj,v_proj | all-linear | regex:PATTERN");
  flags.text("output", output_folder, "DIR", "the folder to write");
  flags.integer("threads", threads, 0, 1024, "of the processor; 0: all that may be used");
  flags.toggle("overwrite", overwrite, "replace an earlier output");
  flags.toggle("json", json, "print the result as JSON");
  flags.require({"model", "tuned", "output"});
  if (!flags.parse(words)) return print(flags.help()), 0;
  options.targets = TargetModules::parse(target, "--target");
  model_folder = needed_folder(model_folder, "config.json");
  tuned_folder = needed_folder(tuned_folder, "config.json");
  output_folder = folder_path(output_folder);
  require_apart({{OutputPath::Kind::folder, "output", output_folder}},
                {{"model", model_folder}, {"tuned", tuned_folder}});

  DevicePtr device = cpu_device(static_cast<int>(threads));
  std::unique_ptr<CausalLm> outline = load_model(model_folder, meta_device(device));
  warn_of_config(*outline);
  check_targets(options.targets, extractable_shapes(*outline));
  catch_interrupts();
  OutputFolder output(output_folder, overwrite);
  options.progress = [](std::size_t done, std::size_t all) {
    stop_if_interrupted();
    if (done % std::max<std::size_t>(1, all / 10) == 0)  // ten lines where there is no bar
      show_progress(share(static_cast<double>(done), static_cast<double>(all)),
                    fmt::format("{} of {} modules", done, all));
  };
  Extraction made = extract_adapter(*outline, model_folder, tuned_folder, device, options);
  end_progress_line();
  std::string how = fmt::format("Extracted with loragrad: of rank {} the nearest to what differs between the base and:",
                                options.rank);
  output.save_adapter(made.adapter, made_adapter_card(made.adapter.base_model, made.base_hash, how, {tuned_folder}));
  stop_if_interrupted();
  commit_output(output, output_folder);
  double error = share(made.error, made.norm);
  if (json) {
    print_json(Json::Object{{"output", output_folder},
                            {"rank", options.rank},
                            {"modules", made.adapter.modules.size()},
                            {"norm", made.norm},
                            {"error", error},
                            {"worst", Json::Object{{"module", made.worst}, {"error", made.worst_error}}},
                            {"left", left_json(made.left)}});
  } else {
    say(fmt::format(
        "{} modules differ; rank {} is off by {:.4g} % of the difference (Frobenius), the most in {}: {:.4g} %",
        made.adapter.modules.size(), options.rank, 100 * error, made.worst, 100 * made.worst_error));
    say_left(made.left);
    say(fmt::format("wrote {}", output_folder));
  }
  return 0;
}

}  // namespace loragrad
