#include "models/generate/generate.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <optional>
#include <set>

#include "app/adapters.h"
#include "app/commands.h"
#include "app/end_tokens.h"
#include "app/flags/chat_flags.h"
#include "app/flags/generation_flags.h"
#include "app/generate_rows.h"
#include "app/inputs.h"
#include "app/model_to_load.h"
#include "app/terminal/console.h"
#include "app/terminal/interrupt.h"
#include "app/terminal/text_stream.h"
#include "engine/error.h"
#include "train/use_forecast.h"

namespace loragrad {
namespace {

/// One of them, and what goes with it.
void check_words(const Flags& flags) {
  if (flags.given("prompt") == flags.given("data"))
    throw UsageError(std::string("--prompt, --data: expected one of them, found ") +
                     (flags.given("data") ? "both" : "none"));
  if (flags.given("batch-size") && !flags.given("data"))
    throw UsageError("--batch-size: expected --data beside it, found --prompt, which is one row");
  for (const char* name : {"chat-template", "date"})
    if (flags.given(name) && !flags.given("data"))
      throw UsageError(fmt::format("--{}: expected --data beside it, whose rows have messages, found --prompt", name));
}

using Clock = std::chrono::steady_clock;
double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

/// Continues one prompt, and prints as it comes.
void generate_text(const ModelToLoad& source, const CausalLm& model, const ActiveAdapters& adapters,
                   const Tokenizer& tokenizer, const std::vector<TokenId>& ids, const GenerateOptions& options,
                   bool json) {
  TextStream stream(tokenizer, ids);
  std::string text;
  auto give = [&](const std::string& piece) {
    text += piece;
    if (json || piece.empty()) return;
    print(piece);
    flush_output();
  };
  Clock::time_point start = Clock::now();
  std::vector<TokenId> added = source.use([&] {
    return generate(model, adapters, ids, options, [&](TokenId id) {
      give(stream.push(id));
      return interrupted_by() == 0;
    });
  });
  double seconds = seconds_since(start);
  give(stream.finish());
  if (json)
    print_json(Json::Object{{"text", text},
                            {"ids", Json::Array(added.begin(), added.end())},
                            {"prompt_ids", Json::Array(ids.begin(), ids.end())},
                            {"tokens_per_s", static_cast<double>(added.size()) / seconds}});
  else
    print("\n");
}

}  // namespace

int run_generate(const Words& words) {
  Flags flags("generate", "Continues a text, and prints the continuation as it comes; or many, a line of JSON each.");
  std::string model_folder;
  std::optional<std::string> prompt, data;
  std::vector<std::string> adapter_arguments;
  GenerateOptions options;
  ComputeFlags compute;
  ChatFlags chat;
  std::int64_t batch_size = 8;
  bool json = false;
  flags.text("model", model_folder, "DIR", "a Hugging Face model folder");
  flags.list("adapter", adapter_arguments, "[NAME=]DIR[:WEIGHT]",
             "an adapter to use, with a name for the rows that choose it; several add up");
  flags.text("prompt", prompt, "TEXT", "what to continue; \"\": the model's beginning of a text");
  flags.text(
      "data", data, "FILE",
      "rows {\"prompt\": TEXT or \"messages\": [...], \"adapter\": NAME or null} instead, one JSON object a line");
  chat.add(flags);
  flags.integer("batch-size", batch_size, 1, 4096, "rows of --data that are continued at once");
  add_generation_flags(flags, options, "most tokens to add", "of the draws, with a row's number");
  compute.add(flags);
  flags.toggle("json", json, "print one JSON object when done; rows of --data always are");
  flags.require({"model"});
  if (!flags.parse(words)) return print(flags.help()), 0;
  check_words(flags);
  options.check();
  std::vector<std::string> names = adapter_names(adapter_arguments);
  model_folder = needed_folder(model_folder, "config.json");

  ModelToLoad source(compute, model_folder);
  Tokenizer tokenizer = open_tokenizer(model_folder);
  std::vector<Prompt> prompts =
      data ? read_prompts(*data, tokenizer, source.config(), names, [&] { return chat.open(model_folder, tokenizer); })
           : std::vector<Prompt>{{prompt_ids(tokenizer, *prompt, source.config())}};
  std::set<std::string> chosen;
  for (const Prompt& each : prompts) chosen.insert(each.adapter);
  warn_of_unused_adapters(adapter_arguments, chosen);
  options.end_tokens = end_tokens(source.config(), &tokenizer);
  warn_of_end_tokens(source.config(), &tokenizer, "generation ends after --max-tokens");

  std::int64_t rows = std::min(batch_size, static_cast<std::int64_t>(prompts.size()));
  auto forecast = [&](const CausalLm& outline, const std::vector<WeightedAdapter>& adapters) {
    return forecast_generation(outline, adapters, longest_prompt(prompts), options.max_tokens, rows);
  };
  std::unique_ptr<CausalLm> model = source.load(adapter_arguments, forecast);
  ActiveAdapters adapters = source.use([&] { return activate_adapters(*model, model_folder, adapter_arguments); });
  catch_interrupts();
  if (data) {
    Clock::time_point start = Clock::now();
    std::int64_t added = source.use([&] { return generate_rows(*model, adapters, tokenizer, prompts, options, rows); });
    double seconds = seconds_since(start);
    note(fmt::format("{} tokens in {:.1f} s, {:.1f} tokens/s", grouped(added), seconds,
                     static_cast<double>(added) / seconds));
  } else {
    generate_text(source, *model, adapters, tokenizer, prompts.front().ids, options, json);
  }
  return interrupted_by() ? 128 + interrupted_by() : 0;
}

}  // namespace loragrad
