#include <fmt/format.h>

#include <filesystem>

#include "app/adapters.h"
#include "app/commands.h"
#include "app/inputs.h"
#include "app/paths.h"
#include "app/terminal/console.h"
#include "app/terminal/interrupt.h"
#include "engine/error.h"
#include "io/atomic.h"
#include "io/gguf.h"
#include "io/hub_cache.h"
#include "io/message.h"
#include "lora/files/mlx_adapter.h"
#include "lora/merge/one_scale.h"
#include "lora/variant.h"
#include "models/files/base_hash.h"
#include "models/files/gguf_adapter.h"
#include "ops/meta_device.h"
#include "train/model_card.h"
#include "train/output.h"

namespace loragrad {
namespace {

namespace fs = std::filesystem;

struct Opened {
  std::string format;  ///< "peft", "mlx" or "gguf"
  Adapter adapter;
};

/// Whatever program wrote it: told by what lies there.
Opened open_any(const std::string& path, const Base& base, const DevicePtr& device) {
  const std::vector<LinearShape> all = base.model.adaptable_shapes();
  if (is_gguf(path)) return {"gguf", read_gguf_adapter(path, all, base.model.config(), device)};
  if (is_mlx_adapter(path)) return {"mlx", read_mlx_adapter(path, all, device)};
  require_folder_with(path, "adapter_config.json");
  return {"peft", open_adapter(path, base, device, false)};
}

/// Both other programs apply what an embedding has to a head that is tied to it, which PEFT does not: mlx-lm as its product,
/// and llama.cpp finds it by the name of their one tensor, in shapes that a product does not take. Neither has a tied head
/// by a name of its own.
void require_head_of_its_own(const Adapter& adapter, const CausalLm& model) {
  if (!model.is_tied() && !model.config().tie_word_embeddings) return;
  for (const LoraModule& module : adapter.modules) {
    if (module.name == head_module)
      throw InputError("convert: " + module.name +
                       ": expected a head of its own, found one that is tied to the embedding: mlx-lm and llama.cpp "
                       "have no name for it");
    if (module.variant->of_embedding())
      throw InputError(
          "convert: " + module.name +
          ": expected a head of its own beside an adapted embedding, found one "
          "that is tied to it: PEFT's adapter leaves the head as it is, mlx-lm's and llama.cpp's would not");
  }
}

/// A GGUF file is replaced only where it is an adapter's.
void check_file(const std::string& path, bool overwrite) {
  require_folder_of(path);
  if (!fs::exists(path)) return;
  if (!overwrite) throw IoError(path_text(path) + ": expected a file that does not exist yet, found one");
  if (!is_gguf(path) || open_gguf(path).text("general.type") != "adapter")
    throw IoError(path_text(path) + ": expected an earlier output to overwrite, found something else");
}

}  // namespace

int run_convert(const Words& words) {
  Flags flags("convert", "Writes an adapter of PEFT, mlx-lm or llama.cpp as another of them has it.");
  std::string model_folder, adapter_path, output, format;
  bool overwrite = false, json = false;
  flags.text("model", model_folder, "DIR", "the base's Hugging Face model folder: its architecture, heads and ties");
  flags.text("adapter", adapter_path, "PATH", "a folder of PEFT or mlx-lm, or a GGUF file");
  flags.choice("to", format, {"peft", "mlx", "gguf"}, "the format to write: folders, and a file");
  flags.text("output", output, "PATH", "the folder or file to write");
  flags.toggle("overwrite", overwrite, "replace an earlier output");
  flags.toggle("json", json, "print the result as JSON");
  flags.require({"model", "adapter", "to", "output"});
  if (!flags.parse(words)) return print(flags.help()), 0;
  model_folder = needed_folder(model_folder, "config.json");
  adapter_path = local_folder(adapter_path);
  if (!fs::exists(adapter_path)) require_folder_with(adapter_path, "adapter_config.json");
  bool is_file = format == "gguf";
  if (!is_file) output = folder_path(output);
  require_apart({{is_file ? OutputPath::Kind::file : OutputPath::Kind::folder, "output", output}},
                {{"model", model_folder}, {"adapter", adapter_path}});

  DevicePtr device = cpu_device(1);
  std::unique_ptr<CausalLm> model = load_model(model_folder, meta_device(device));
  warn_of_config(*model);
  Base base{*model, model_folder};
  auto [from, found] = open_any(adapter_path, base, device);
  if (from == format)
    throw UsageError(fmt::format("--to: expected another format than the adapter's, found \"{}\"", format));
  Adapter adapter = with_one_scale(found);
  require_head_of_its_own(adapter, *model);
  adapter.base_model = found.base_model.empty() ? base_name_of(model_folder) : found.base_model;
  catch_interrupts();
  if (is_file) {
    check_file(output, overwrite);
    write_gguf_adapter(adapter, model->config(), output);
  } else {
    OutputFolder folder(output, overwrite);
    if (format == "mlx") {
      write_mlx_adapter(adapter, model->adaptable_shapes(), model->config().num_hidden_layers, folder.file(""));
      std::string card =
          made_adapter_card(adapter.base_model, "", "Converted with loragrad to mlx-lm's format, of:", {adapter_path});
      write_file(folder.file("README.md"), card);
    } else {
      std::string hash = base_hash(*model, BaseTensors(*model, model_folder));
      folder.save_adapter(adapter,
                          made_adapter_card(adapter.base_model, hash, "Converted with loragrad, of:", {adapter_path}));
    }
    stop_if_interrupted();
    commit_output(folder, output);
  }
  if (json) {
    print_json(Json::Object{{"output", output},
                            {"from", from},
                            {"to", format},
                            {"modules", adapter.modules.size()},
                            {"rank", adapter.config.r},
                            {"scale", adapter.modules.front().scale}});
  } else {
    say(fmt::format("{} to {}: {} modules of rank {}, scale {:.6g}", from, format, adapter.modules.size(),
                    adapter.config.r, adapter.modules.front().scale));
    say("wrote " + output);
  }
  return 0;
}

}  // namespace loragrad
