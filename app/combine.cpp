#include "lora/merge/combine.h"

#include <fmt/format.h>

#include "app/commands.h"
#include "app/inputs.h"
#include "app/paths.h"
#include "app/terminal/console.h"
#include "app/terminal/interrupt.h"
#include "engine/error.h"
#include "io/hub_cache.h"
#include "lora/files/adapter_file.h"
#include "lora/files/adapter_outline.h"
#include "train/model_card.h"
#include "train/output.h"

namespace loragrad {
namespace {

/// The hash of their base, where all cards have the same one. Warns of adapters that were made for different bases, by
/// that or by their bases' names on the hub.
std::string common_base_hash(const std::vector<std::string>& folders, const std::vector<WeightedAdapter>& adapters) {
  auto first_hash = card_base_hash(folders.front());
  auto first_name = hub_id(adapters.front().adapter.base_model);
  bool one_hash = first_hash.has_value();
  for (std::size_t i = 1; i < folders.size(); ++i) {
    auto hash = card_base_hash(folders[i]);
    auto name = hub_id(adapters[i].adapter.base_model);
    one_hash = one_hash && hash == first_hash;
    bool others = first_hash && hash ? *first_hash != *hash : first_name && name && !same_hub_id(*first_name, *name);
    if (others) warn(fmt::format("{} and {} were made for different bases", folders.front(), folders[i]));
  }
  return one_hash ? *first_hash : "";
}

std::vector<WeightedAdapter> open_all(const std::vector<AdapterArgument>& arguments,
                                      const std::vector<std::string>& folders) {
  DevicePtr device = cpu_device(1);  // nothing runs on it
  FindBaseTensor base = tables_beside(folders);
  std::vector<WeightedAdapter> adapters;
  for (const AdapterArgument& argument : arguments) {
    std::vector<std::string> warnings;
    const std::string& folder = argument.folder;
    adapters.push_back(
        {load_adapter(folder, device, adapter_outline(folder), false, &warnings, DType::f32, base), argument.weight});
    for (const std::string& warning : warnings) warn(warning);
  }
  return adapters;
}

std::string how_text(const std::string& method, const CombineOptions& options) {
  std::string density = options.density ? fmt::format(", density {}", *options.density) : "";
  return fmt::format("Combined with loragrad, method `{}`{}:", method, density);
}

}  // namespace

int run_combine(const Words& words) {
  Flags flags("combine", "Makes one adapter of several, as PEFT's add_weighted_adapter does.");
  std::vector<std::string> adapter_arguments;
  std::string method = "cat", output_folder;
  CombineOptions options;
  bool overwrite = false, json = false;
  flags.list("adapter", adapter_arguments, "DIR[:WEIGHT]", "an adapter to combine");
  flags.choice("method", method, combine_methods(), "cat: their exact sum; svd: the nearest to it of --rank");
  flags.integer("rank", options.rank, 1, 65536, "svd: of the result (default: the adapters' largest)");
  flags.number("density", options.density, 0, 1, "above 0: the part of the values that ties, dare and pruning keep");
  flags.seed("seed", options.seed, "of the values that dare keeps");
  flags.text("output", output_folder, "DIR", "the folder to write");
  flags.toggle("overwrite", overwrite, "replace an earlier output");
  flags.toggle("json", json, "print the result as JSON");
  flags.require({"adapter", "output"});
  if (!flags.parse(words)) return print(flags.help()), 0;
  options.method = combine_method_named(method);
  options.check();
  if (flags.given("seed") && !method.starts_with("dare"))
    throw UsageError("--seed: expected none beside --method " + method + ", which draws nothing");
  require_unnamed(adapter_arguments, "a combined adapter is one for all rows");
  output_folder = folder_path(output_folder);
  std::vector<AdapterArgument> arguments = AdapterArgument::parse(adapter_arguments);
  std::vector<InputPath> inputs;
  std::vector<std::string> folders;
  for (const AdapterArgument& argument : arguments) {
    inputs.push_back({"adapter", argument.folder});
    folders.push_back(argument.folder);
  }
  require_apart({{OutputPath::Kind::folder, "output", output_folder}}, inputs);

  std::vector<WeightedAdapter> adapters = open_all(arguments, folders);
  std::string base_hash = common_base_hash(folders, adapters);
  catch_interrupts();
  OutputFolder output(output_folder, overwrite);
  Combination made = combine(adapters, options);
  output.save_adapter(made.adapter, made_adapter_card(made.adapter.base_model, base_hash, how_text(method, options),
                                                      adapter_arguments));
  stop_if_interrupted();
  commit_output(output, output_folder);
  bool is_svd = options.method == CombineMethod::svd;
  double error = made.norm > 0 ? made.error / made.norm : 0;
  if (json) {
    print_json(Json::Object{{"output", output_folder},
                            {"method", method},
                            {"rank", made.adapter.config.r},
                            {"modules", made.adapter.modules.size()},
                            {"truncation_error", is_svd ? Json(error) : Json()}});
  } else {
    say(fmt::format("combined {} adapters: {} modules of rank {}", adapters.size(), made.adapter.modules.size(),
                    made.adapter.config.r));
    if (is_svd) say(fmt::format("truncation error: {:.4g} % of the exact sum (Frobenius)", 100 * error));
    say(fmt::format("wrote {}", output_folder));
  }
  return 0;
}

}  // namespace loragrad
