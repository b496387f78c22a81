#include "app/inputs.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <filesystem>
#include <limits>

#include "app/end_tokens.h"
#include "app/terminal/console.h"
#include "app/terminal/interrupt.h"
#include "engine/error.h"
#include "io/hub_cache.h"
#include "io/siblings.h"
#include "ops/l2_norm.h"

namespace loragrad {

namespace fs = std::filesystem;

namespace {

/// What names an adapter on the command line, and rows choose it by.
bool is_name(std::string_view text) {
  auto may_be = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
  };
  return !text.empty() && std::all_of(text.begin(), text.end(), may_be);
}

}  // namespace

void ComputeFlags::add(Flags& flags, bool takes_tf32) {
  flags.choice("precision", precision, {"auto", "f32", "bf16"},
               "type of products; auto: bf16 for a bf16 or f16 checkpoint where the device multiplies bf16, else f32");
  device.add(flags, takes_tf32);
}

LoadOptions ComputeFlags::load_options() const {
  return {.precision = precision == "f32"    ? Precision::f32
                       : precision == "bf16" ? Precision::bf16
                                             : Precision::automatic};
}

void warn_of_precision(const CausalLm& model, const std::string& folder, Precision precision) {
  if (precision != Precision::automatic || model.stored_dtype() != DType::f16 || model.compute_dtype() != DType::bf16)
    return;
  warn(folder + ": stored in f16 and computed in bf16, which has 3 bits less; --precision f32 keeps them");
}

void DataFlags::add(Flags& flags) {
  flags.integer("seq-len", seq_len, 1, std::numeric_limits<std::int32_t>::max(),
                "tokens of a row; longer rows are cut");
  flags.toggle("no-eos", no_eos, "add no end token to text and completion");
  chat.add(flags);
  flags.toggle("last-turn-only", last_turn_only, "of a conversation, supervise the assistant's last turn alone");
}

Dataset DataFlags::open(const std::string& path, const std::string& split, const Tokenizer* tokenizer,
                        const ModelConfig& config, const std::string& folder,
                        const std::optional<std::vector<std::string>>& adapters) const {
  DatasetOptions options{.seq_len = seq_len,
                         .eos = std::nullopt,
                         .vocab_size = config.vocab_size,
                         .max_positions = config.max_position_embeddings,
                         .adapters = adapters,
                         .last_turn_only = last_turn_only,
                         .begins_row = stop_if_interrupted};
  if (tokenizer) options.chat = [&] { return chat.open(folder, *tokenizer); };
  if (!tokenizer) options.no_tokenizer = Tokenizer::lack(folder).value_or("");
  if (std::vector<TokenId> ends = end_tokens(config, tokenizer); !no_eos && !ends.empty()) options.eos = ends.front();
  return load_dataset(dataset_file(path, split), tokenizer, options);
}

AdapterArgument AdapterArgument::parse(const std::string& text) {
  AdapterArgument argument;
  argument.folder = text;
  // A path before the = is one: ./a=b, runs/lr=1e-3.
  if (std::size_t equals = text.find('='); equals < text.find('/') && text[0] != '.') {
    argument.name = text.substr(0, equals);
    argument.folder = text.substr(equals + 1);
    bool means_itself = fs::exists(text) && !fs::exists(argument.folder);
    if (!is_name(argument.name) || argument.folder.empty() || means_itself)
      throw UsageError(
          fmt::format("--adapter: expected NAME=DIR with a NAME of letters, digits, _ and - (a folder of "
                      "this name is ./{0}), found \"{0}\"",
                      escaped(text)));
  }
  std::size_t colon = argument.folder.rfind(':');
  // An address of the hub has one of its own.
  std::string whole = local_folder(argument.folder);
  if (colon == std::string::npos || fs::exists(whole)) {
    argument.folder = whole;
    return argument;
  }
  const char *begin = text.data() + (text.size() - argument.folder.size()) + colon + 1,
             *end = text.data() + text.size();
  argument.folder.resize(colon);
  auto [stop, error] = std::from_chars(begin, end, argument.weight);
  if (colon == 0 || error != std::errc() || stop != end || !std::isfinite(argument.weight))
    throw UsageError(
        fmt::format("--adapter: expected DIR or DIR:WEIGHT with a finite number, found \"{}\"", escaped(text)));
  argument.folder = local_folder(argument.folder);
  return argument;
}

std::vector<AdapterArgument> AdapterArgument::parse(const std::vector<std::string>& texts) {
  std::vector<AdapterArgument> arguments;
  for (const std::string& text : texts) {
    AdapterArgument argument = parse(text);
    for (const AdapterArgument& other : arguments)
      if (!argument.name.empty() && other.name == argument.name)
        throw UsageError(fmt::format("--adapter: expected each name once, found \"{}\" twice", argument.name));
    arguments.push_back(std::move(argument));
  }
  return arguments;
}

std::vector<std::string> adapter_names(const std::vector<std::string>& arguments) {
  std::vector<std::string> names;
  for (AdapterArgument& argument : AdapterArgument::parse(arguments))
    if (!argument.name.empty()) names.push_back(std::move(argument.name));
  return names;
}

void require_unnamed(const std::vector<std::string>& arguments, const std::string& why) {
  if (std::vector<std::string> names = adapter_names(arguments); !names.empty())
    throw UsageError(fmt::format(
        "--adapter: expected DIR or DIR:WEIGHT, as {1} (a folder of this name is ./{0}=...), found the name "
        "\"{0}\"",
        names.front(), why));
}

std::vector<InputPath> input_paths(const std::string& model_folder, const std::vector<std::string>& adapters) {
  std::vector<InputPath> inputs{{"model", model_folder}};
  for (const AdapterArgument& argument : AdapterArgument::parse(adapters))
    inputs.push_back({"adapter", argument.folder});
  return inputs;
}

Tokenizer open_tokenizer(const std::string& folder) {
  Tokenizer tokenizer = Tokenizer::from_folder(folder);
  for (const std::string& warning : tokenizer.warnings()) warn(warning);
  return tokenizer;
}

std::optional<Tokenizer> find_tokenizer(const std::string& folder) {
  if (Tokenizer::lack(folder)) return std::nullopt;
  return open_tokenizer(folder);
}

void require_folder_of(const std::string& file) {
  std::string path = parent_of(file);
  if (!fs::exists(path)) throw IoError(path + ": expected a folder, found nothing");
  if (!fs::is_directory(path)) throw IoError(path + ": expected a folder, found a file");
}

void warn_of_config(const CausalLm& model) {
  for (const std::string& warning : model.config().warnings) warn(warning);
}

void warn_of_bad_weights(const CausalLm& model, const char* whose) {
  std::string first;
  int bad = 0;
  for (const auto& [name, parameter] : model.parameters()) {
    if (is_finite(model.device(), parameter->view())) continue;
    if (bad++ == 0) first = name;
  }
  if (bad > 0) warn(fmt::format("{} of {} tensors hold NaN or Inf, {} is the first", bad, whose, first));
}

}  // namespace loragrad
