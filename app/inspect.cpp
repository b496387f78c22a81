#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <set>

#include "app/adapters.h"
#include "app/commands.h"
#include "app/inputs.h"
#include "app/inspect_devices.h"
#include "app/terminal/console.h"
#include "data/dataset_rows.h"
#include "data/jsonl.h"
#include "engine/error.h"
#include "io/hub_cache.h"
#include "io/message.h"
#include "io/safetensors.h"
#include "io/torch_file.h"
#include "lora/files/adapter_file.h"
#include "models/files/base_hash.h"
#include "ops/cpu/cpu_device.h"
#include "ops/meta_device.h"
#include "train/checkpoint.h"
#include "train/earlier_output.h"
#include "train/model_card.h"
#include "train/progress.h"

namespace loragrad {
namespace {

namespace fs = std::filesystem;

/// What was found out: one JSON object, shown as a table to people.
using Facts = Json::Object;

struct TensorTotals {
  std::int64_t tensors = 0, elements = 0;
  std::size_t bytes = 0;
  std::map<std::string, std::int64_t> elements_by_dtype;
};

TensorTotals totals(const StoredTensors& file) {
  TensorTotals sum;
  for (const StoredTensor& tensor : file.tensors) {
    std::int64_t elements = 1;
    for (std::int64_t dim : tensor.shape) elements *= dim;
    ++sum.tensors;
    sum.elements += elements;
    sum.bytes += tensor.byte_count;
    sum.elements_by_dtype[tensor.dtype_name] += elements;
  }
  return sum;
}

void add_totals(Facts& facts, const TensorTotals& sum) {
  Json::Object dtypes;
  for (const auto& [name, elements] : sum.elements_by_dtype) dtypes.emplace_back(name, elements);
  facts.emplace_back("tensors", sum.tensors);
  facts.emplace_back("bytes", sum.bytes);
  facts.emplace_back("dtypes", std::move(dtypes));
}

/// The names of the files that tensors are in.
std::string files_text(const StoredTensors& file) {
  std::set<std::string> names;
  for (const StoredTensor& tensor : file.tensors) names.insert(fs::path(tensor.file->path()).filename().string());
  return list_text({names.begin(), names.end()}, 120);
}

/// A model of a folder whose weights are not read.
std::unique_ptr<CausalLm> outline(const std::string& folder) { return load_model(folder, meta_device(cpu_device(1))); }

double percent(std::int64_t part, std::int64_t whole) {
  return whole > 0 ? 100.0 * static_cast<double>(part) / static_cast<double>(whole) : 0;
}

Facts inspect_model(const std::string& folder) {
  std::unique_ptr<CausalLm> model = outline(folder);
  warn_of_config(*model);
  const ModelConfig& c = model->config();
  Facts facts{
      {"kind", "model"}, {"path", folder}, {"model_type", c.model_type}, {"parameters", model->parameter_count()}};
  BaseTensors tensors(*model, folder);
  facts.emplace_back("files", files_text(tensors.file()));
  add_totals(facts, totals(tensors.file()));
  facts.emplace_back("hash", base_hash(*model, tensors));
  facts.insert(facts.end(), {{"layers", c.num_hidden_layers},
                             {"hidden_size", c.hidden_size},
                             {"intermediate_size", c.intermediate_size},
                             {"heads", c.num_attention_heads},
                             {"kv_heads", c.num_key_value_heads},
                             {"vocab_size", c.vocab_size},
                             {"max_position_embeddings", c.max_position_embeddings},
                             {"tie_word_embeddings", c.tie_word_embeddings}});
  TargetModules targets = default_targets(c.model_type);
  std::int64_t trainable = 0;
  constexpr std::int64_t rank = 16;
  for (const LinearShape& linear : match_targets(targets, model->linear_shapes()))
    trainable += rank * (linear.in + linear.out);
  facts.emplace_back("default_targets", targets.text());
  facts.emplace_back("trainable_at_rank_16", trainable);
  facts.emplace_back("trainable_percent_at_rank_16", percent(trainable, model->parameter_count() + trainable));
  std::optional<Tokenizer> tokenizer = find_tokenizer(folder);
  facts.emplace_back("tokenizer_vocab_size", tokenizer ? Json(tokenizer->vocab_size()) : Json());
  return facts;
}

std::int64_t trainable_tokens(const LoraConfig& config) {
  std::int64_t count = 0;
  for (const TrainableTokens& tokens : config.trainable_token_indices)
    count = std::max(count, static_cast<std::int64_t>(tokens.ids.size()));
  return count;
}

Facts inspect_adapter(const std::string& folder) {
  std::string base;
  std::vector<std::string> warnings;
  LoraConfig config = read_adapter_config(folder, &base, &warnings);
  for (const std::string& warning : warnings) warn(warning);
  TensorTotals sum = totals(AdapterTensors(folder).file());
  auto hash = card_base_hash(folder);
  Facts facts{{"kind", "adapter"}, {"path", folder}, {"base_model", base}, {"base_hash", hash ? Json(*hash) : Json()}};
  facts.emplace_back("parameters", sum.elements);
  add_totals(facts, sum);
  facts.insert(facts.end(), {{"rank", config.r},
                             {"alpha", config.lora_alpha},
                             {"scaling", config.scaling()},
                             {"dropout", config.lora_dropout},
                             {"rslora", config.use_rslora},
                             {"lora_bias", config.lora_bias},
                             {"dora", config.use_dora},
                             {"bias", std::string(name_of(config.bias))},
                             {"modules_to_save", fmt::format("{}", fmt::join(config.modules_to_save, ","))},
                             {"trainable_tokens", trainable_tokens(config)},
                             {"targets", config.target_modules.text()}});
  // The share can be told only where the base is.
  if (std::string base_folder = local_folder(base); fs::exists(fs::path(base_folder) / "config.json")) {
    std::unique_ptr<CausalLm> model = outline(base_folder);
    if (std::string other = other_base_text(folder, base, {*model, base_folder}); !other.empty())
      warn(folder + ": " + other);
    std::int64_t all = model->parameter_count() + sum.elements;
    facts.emplace_back("all_parameters", all);
    facts.emplace_back("trainable_percent", percent(sum.elements, all));
  }
  return facts;
}

/// Whole, or refused.
Facts inspect_checkpoint(const std::string& folder) {
  Checkpoint checkpoint = open_checkpoint(folder);
  const TrainResult& result = checkpoint.state.result;
  bool has_adapter = fs::exists(fs::path(folder) / "adapter_config.json");
  Facts facts{{"kind", "checkpoint"},
              {"path", folder},
              {"step", result.steps},
              {"of_steps", checkpoint.run.steps},
              {"loss", result.loss ? Json(*result.loss) : Json()},
              {"best_step", result.best ? Json(result.best->step) : Json()},
              {"tokens", result.tokens},
              {"seconds", result.seconds},
              {"computed_by", checkpoint.run.device},
              {"trained", has_adapter ? "an adapter" : "all parameters"}};
  if (has_adapter) {
    for (auto& [key, value] : inspect_adapter(folder))
      if (key != "kind" && key != "path") facts.emplace_back(key, std::move(value));
  } else {
    add_totals(facts, totals(open_safetensors((fs::path(folder) / "model.safetensors").string())));
  }
  return facts;
}

/// Of a run that has not ended.
Facts inspect_run(const std::string& folder, const std::vector<std::int64_t>& steps) {
  std::string checkpoints = (fs::path(folder) / checkpoints_folder).string();
  return {{"kind", "unfinished run"},
          {"path", folder},
          {"checkpoints", Json::Array(steps.begin(), steps.end())},
          {"newest", inspect_checkpoint(checkpoint_folder(checkpoints, steps.back()))}};
}

/// `kind` is "safetensors" or "pytorch".
Facts inspect_tensors(const std::string& kind, const std::string& path, const StoredTensors& file) {
  TensorTotals sum = totals(file);
  Facts facts{{"kind", kind}, {"path", path}, {"elements", sum.elements}};
  add_totals(facts, sum);
  Json::Object metadata, shapes;
  for (const auto& [key, value] : file.metadata) metadata.emplace_back(key, value);
  for (const StoredTensor& tensor : file.tensors)
    shapes.emplace_back(tensor.name, tensor.dtype_name + " " + tensor.shape_text());
  facts.emplace_back("metadata", std::move(metadata));
  facts.emplace_back("contents", std::move(shapes));
  return facts;
}

Facts inspect_data(const std::string& path) {
  std::string text = read_data_text(path);
  Facts facts{{"kind", "data"}, {"path", path}, {"bytes", fs::file_size(path)}};
  if (fs::path(path).extension() == ".txt") {
    facts.emplace_back("format", "txt");
    facts.emplace_back("lines", std::count(text.begin(), text.end(), '\n'));
    return facts;
  }
  std::optional<RowFormat> format;
  std::int64_t rows = 0;
  std::size_t longest = 0;
  for_each_line(text, path, [&](const JsonRef& row, std::string_view line) {
    format = format_of_row(row, format);
    ++rows;
    longest = std::max(longest, line.size());
  });
  if (rows == 0) throw InputError(path + ": expected at least one row, found none");
  facts.insert(facts.end(), {{"format", name_of(*format)}, {"rows", rows}, {"longest_row_bytes", longest}});
  return facts;
}

Facts inspect_data_folder(const std::string& folder) {
  Facts facts{{"kind", "data"}, {"path", folder}};
  for (const char* split : {"train", "valid", "test"}) {
    fs::path file = fs::path(folder) / (std::string(split) + ".jsonl");
    if (fs::exists(file)) facts.emplace_back(split, inspect_data(file.string()));
  }
  return facts;
}

Facts inspect(const std::string& path) {
  fs::path at(path);
  if (!fs::exists(at))
    throw IoError(path + ": expected a file or folder, found nothing" + hub_hint(path, HubKind::model));
  if (fs::is_directory(at)) {
    if (is_checkpoint(path)) return inspect_checkpoint(path);
    if (fs::exists(at / "adapter_config.json")) return inspect_adapter(path);
    if (fs::exists(at / "config.json")) return inspect_model(path);
    for (const char* split : {"train.jsonl", "valid.jsonl", "test.jsonl"})
      if (fs::exists(at / split)) return inspect_data_folder(path);
    if (auto steps = checkpoint_steps((at / checkpoints_folder).string()); !steps.empty())
      return inspect_run(path, steps);
    if (std::string hint = hub_hint(path, HubKind::model); !hint.empty())
      throw IoError(path + ": expected a model's or adapter's folder, found " + hint.substr(2));
    throw InputError(path +
                     ": expected config.json (a model), adapter_config.json (an adapter) or train.jsonl (data) in this "
                     "folder, found none");
  }
  std::string extension = at.extension().string();
  if (extension == ".safetensors") return inspect_tensors("safetensors", path, open_safetensors(path));
  if (extension == ".bin") return inspect_tensors("pytorch", path, open_torch_file(path));
  if (extension == ".jsonl" || extension == ".txt") return inspect_data(path);
  throw InputError(fmt::format("{}: expected a folder or a .safetensors, .bin, .jsonl or .txt file, found \"{}\"", path,
                               escaped(extension)));
}

std::string shown(const std::string& key, const Json& value) {
  if (auto* n = std::get_if<std::int64_t>(&value.value()))
    return key == "bytes" ? fmt::format("{} ({})", grouped(*n), bytes_text(static_cast<std::size_t>(*n))) : grouped(*n);
  if (auto* x = std::get_if<double>(&value.value())) return fmt::format("{:.6g}", *x);
  if (auto* text = std::get_if<std::string>(&value.value())) return escaped(*text, std::string::npos);
  if (std::holds_alternative<std::nullptr_t>(value.value())) return "none";
  if (auto* yes = std::get_if<bool>(&value.value())) return *yes ? "yes" : "no";
  return value.dump();
}

void show(const Facts& facts, const std::string& indent, std::vector<std::pair<std::string, std::string>>& rows) {
  for (const auto& [key, value] : facts) {
    std::string label = key;
    std::replace(label.begin(), label.end(), '_', ' ');
    auto* object = std::get_if<Json::Object>(&value.value());
    // A tensor's name is shown as it is.
    if (indent.size() > 0 && key.find('.') != std::string::npos) label = key;
    rows.emplace_back(indent + escaped(label, std::string::npos), object ? "" : shown(key, value));
    if (object) show(*object, indent + "  ", rows);
  }
}

}  // namespace

int run_inspect(const Words& words) {
  Flags flags(
      "inspect",
      "Says what a model folder, adapter folder, data file or folder, or file of tensors is, or what devices there "
      "are.");
  std::string path;
  bool devices = false, json = false;
  flags.positional("PATH", path, "what to look at", Flags::Positional::optional);
  flags.toggle("devices", devices, "in place of PATH: say what this machine has to compute on");
  flags.toggle("json", json, "print one JSON object");
  if (!flags.parse(words)) return print(flags.help()), 0;
  if (devices == flags.given("PATH"))
    throw UsageError(fmt::format("inspect: expected PATH or --devices, found {}", devices ? "both" : "neither"));
  if (devices) return json ? print_json(devices_json()) : print_devices(), 0;
  Facts facts = inspect(local_folder(path));
  if (json) return print_json(facts), 0;
  std::vector<std::pair<std::string, std::string>> rows;
  show(facts, "", rows);
  print_table(rows);
  return 0;
}

}  // namespace loragrad
