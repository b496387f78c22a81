#include <fmt/format.h>

#include <algorithm>

#include "app/chat/chat_session.h"
#include "app/commands.h"
#include "app/end_tokens.h"
#include "app/flags/chat_flags.h"
#include "app/flags/generation_flags.h"
#include "app/inputs.h"
#include "app/model_to_load.h"
#include "app/terminal/console.h"
#include "app/terminal/interrupt.h"
#include "app/terminal/line_input.h"
#include "app/terminal/word_wrap.h"
#include "engine/error.h"
#include "train/use_forecast.h"

namespace loragrad {
namespace {

constexpr std::int64_t forecast_tokens = 2048;  // of a conversation, which nobody knows beforehand

bool is_blank(const std::string& line) { return line.find_first_not_of(" \t") == std::string::npos; }

void show_at_once(const std::string& text) {
  print(text);
  flush_output();
}

/// Answers in lines as wide as the terminal; a file or pipe gets them as they are.
void show_answer(ChatSession& session, const std::string& line) {
  if (!LineInput::is_typed()) {
    session.answer(line, show_at_once);
    return show_at_once("\n");
  }
  WordWrap wrap(output_width());
  session.answer(line, [&](const std::string& piece) { show_at_once(wrap.push(piece)); });
  show_at_once(wrap.finish() + "\n\n");
}

/// False for /quit. What is wrong with a line, or with the files that it names, is said, and the conversation is as it was.
bool take(ChatSession& session, const std::string& line) {
  bool is_command = line.starts_with('/');
  std::string shown;
  try {
    if (!is_command)
      show_answer(session, line);
    else if (!session.command(line, [&](const std::string& text) { shown += text; }))
      return false;
  } catch (const Error& error) {
    if (!is_command && error.kind() == ErrorKind::io) throw;  // the output's
    note("error: " + line_text(error.what()));
  }
  show_at_once(shown);
  return true;
}

/// Until the end of the input, /quit or a signal.
void talk(ChatSession& session) {
  bool typed = LineInput::is_typed();
  LineInput input;
  for (;;) {
    if (typed) show_at_once("> ");
    auto line = input.next([] { show_at_once("\n(/quit or Ctrl-D leaves)\n> "); });
    if (!line) {
      if (typed) show_at_once("\n");
      return;
    }
    if (is_blank(*line)) continue;
    if (!take(session, *line)) return;
    forget_interrupt();  // it ended what the line began, if anything
    if (interrupted_by()) return;
  }
}

}  // namespace

int run_chat(const Words& words) {
  Flags flags("chat", "A conversation with a chat model, line by line; /help says what else there is.");
  std::string model_folder;
  std::optional<std::string> system;
  std::vector<std::string> adapter_arguments;
  GenerateOptions options;
  options.max_tokens = 512;
  ComputeFlags compute;
  ChatFlags chat_flags;
  flags.text("model", model_folder, "DIR", "a Hugging Face model folder with a chat template");
  flags.list("adapter", adapter_arguments, "[NAME=]DIR[:WEIGHT]",
             "an adapter to have at hand; those without a name are active, or else the first; /adapter changes that");
  flags.text("system", system, "TEXT", "a system message to begin with");
  chat_flags.add(flags);
  add_generation_flags(flags, options, "most tokens of an answer", "of the draws, with the turn's number");
  compute.add(flags);
  flags.require({"model"});
  if (!flags.parse(words)) return print(flags.help()), 0;
  options.check();
  AdapterArgument::parse(adapter_arguments);
  model_folder = needed_folder(model_folder, "config.json");

  ModelToLoad source(compute, model_folder);
  Tokenizer tokenizer = open_tokenizer(model_folder);
  ChatTemplate chat = chat_flags.open(model_folder, tokenizer);
  options.end_tokens = end_tokens(source.config(), &tokenizer);
  warn_of_end_tokens(source.config(), &tokenizer, "answers end after --max-tokens");
  auto forecast = [&](const CausalLm& outline, const std::vector<WeightedAdapter>& adapters) {
    std::int64_t tokens = std::min(forecast_tokens, outline.config().max_position_embeddings - 1);
    return forecast_generation(outline, adapters, tokens, std::min(options.max_tokens, tokens), 1);
  };
  std::unique_ptr<CausalLm> model = source.load(adapter_arguments, forecast);
  catch_interrupts();
  source.use([&] {
    ChatAdapters adapters({*model, model_folder}, adapter_arguments);
    ChatSession session(*model, tokenizer, chat, adapters, options);
    if (system) session.command("/system " + *system, [](const std::string&) {});
    if (LineInput::is_typed())
      show_at_once(fmt::format("adapter: {}\n/help lists what else there is.\n\n", adapters.active_text()));
    talk(session);
    return 0;
  });
  return interrupted_by() ? 128 + interrupted_by() : 0;
}

}  // namespace loragrad
