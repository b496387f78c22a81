#include "models/generate.h"

#include <fmt/format.h>

#include <chrono>
#include <limits>

#include "app/adapters.h"
#include "app/commands.h"
#include "app/console.h"
#include "app/end_tokens.h"
#include "app/inputs.h"
#include "app/interrupt.h"
#include "app/model_to_load.h"
#include "app/text_stream.h"
#include "data/unknown_id.h"
#include "engine/error.h"
#include "train/use_forecast.h"

namespace loragrad {
namespace {

/// The prompt's ids; an empty one is the model's beginning of a text.
std::vector<TokenId> prompt_ids(const Tokenizer& tokenizer, const std::string& prompt, const ModelConfig& config) {
  std::vector<TokenId> ids = tokenizer.encode_prompt(prompt);
  try {
    expect_in_vocabulary(ids, config.vocab_size, "--prompt");
  } catch (const UnknownId& error) {
    throw blame_tokenizer(tokenizer, error);
  }
  if (!ids.empty()) return ids;
  if (!config.bos_token_id)
    throw UsageError("--prompt: expected a text, as the model has no bos_token_id in its vocabulary, found \"\"");
  return {*config.bos_token_id};
}

}  // namespace

int run_generate(const Words& words) {
  Flags flags("generate", "Continues a text, and prints the continuation as it comes.");
  std::string model_folder, prompt;
  std::vector<std::string> adapter_arguments;
  GenerateOptions options;
  ComputeFlags compute;
  bool json = false;
  flags.text("model", model_folder, "DIR", "a Hugging Face model folder");
  flags.list("adapter", adapter_arguments, "[NAME=]DIR[:WEIGHT]",
             "an adapter to use, with a name for the rows that choose it; several add up");
  flags.text("prompt", prompt, "TEXT", "what to continue; \"\": the model's beginning of a text");
  flags.integer("max-tokens", options.max_tokens, 1, std::numeric_limits<std::int32_t>::max(), "most tokens to add");
  flags.number("temperature", options.temperature, 0, std::numeric_limits<double>::max(),
               "0: always the likeliest token");
  flags.number("top-p", options.top_p, 0, 1,
               "draw from the likeliest tokens that together have this probability, above 0");
  flags.seed("seed", options.seed, "of the draws");
  compute.add(flags);
  flags.toggle("json", json, "print one JSON object when done");
  flags.require({"model", "prompt"});
  if (!flags.parse(words)) return print(flags.help()), 0;
  options.check();
  warn_of_unused_adapters(adapter_arguments, {});
  require_folder_with(model_folder, "config.json");

  ModelToLoad source(compute, model_folder);
  Tokenizer tokenizer = open_tokenizer(model_folder);
  std::vector<TokenId> ids = prompt_ids(tokenizer, prompt, source.config());
  options.end_tokens = end_tokens(source.config(), &tokenizer);
  warn_of_end_tokens(source.config(), &tokenizer, "generation ends after --max-tokens");

  auto forecast = [&](const CausalLm& outline, const std::vector<WeightedAdapter>& adapters) {
    return forecast_generation(outline, adapters, static_cast<std::int64_t>(ids.size()), options.max_tokens);
  };
  std::unique_ptr<CausalLm> model = source.load(adapter_arguments, forecast);
  options.adapters = source.use([&] {
    return model->activate(open_adapters(adapter_arguments, {*model, model_folder}));
  });
  catch_interrupts();
  TextStream stream(tokenizer, ids);
  std::string text;
  auto give = [&](const std::string& piece) {
    text += piece;
    if (json || piece.empty()) return;
    print(piece);
    flush_output();
  };
  auto start = std::chrono::steady_clock::now();
  std::vector<TokenId> added = source.use([&] {
    return generate(*model, ids, options, [&](TokenId id) {
      give(stream.push(id));
      return interrupted_by() == 0;
    });
  });
  double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  give(stream.finish());
  if (json)
    print_json(Json::Object{{"text", text},
                            {"ids", Json::Array(added.begin(), added.end())},
                            {"prompt_ids", Json::Array(ids.begin(), ids.end())},
                            {"tokens_per_s", static_cast<double>(added.size()) / seconds}});
  else
    print("\n");
  return interrupted_by() ? 128 + interrupted_by() : 0;
}

}  // namespace loragrad
