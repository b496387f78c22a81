#include "app/training/samples.h"

#include <fmt/format.h>

#include "app/end_tokens.h"
#include "app/prompts.h"
#include "app/terminal/console.h"
#include "app/terminal/interrupt.h"
#include "app/terminal/text_stream.h"
#include "engine/error.h"
#include "models/generate/generate.h"

namespace loragrad {

std::vector<SamplePrompt> sample_prompts(const std::vector<std::string>& texts, const Tokenizer* tokenizer,
                                         const ModelConfig& config, const std::string& folder) {
  std::vector<SamplePrompt> prompts;
  for (const std::string& text : texts) {
    if (!tokenizer)
      throw UsageError("--sample-prompt: expected a model with a tokenizer: " + Tokenizer::lack(folder).value_or(""));
    prompts.push_back({text, prompt_ids(*tokenizer, text, config, "--sample-prompt")});
    if (auto count = static_cast<std::int64_t>(prompts.back().ids.size()); count >= config.max_position_embeddings)
      throw UsageError(fmt::format("--sample-prompt: expected fewer tokens than the model's {} positions, found {}",
                                   config.max_position_embeddings, count));
  }
  return prompts;
}

Samples::Samples(const CausalLm& model, const Adapter* adapter, const Tokenizer* tokenizer,
                 const std::vector<SamplePrompt>& prompts)
    : model_(model),
      adapters_(adapter ? model.activate(*adapter) : ActiveAdapters()),
      tokenizer_(tokenizer),
      prompts_(prompts) {}

void Samples::write(std::int64_t step) {
  if (step == step_ || prompts_.empty()) return;
  step_ = step;
  last_.clear();
  GenerateOptions options;
  options.max_tokens = 48;
  options.temperature = 0;
  options.end_tokens = end_tokens(model_.config(), tokenizer_);
  for (const SamplePrompt& prompt : prompts_) {
    TextStream stream(*tokenizer_, prompt.ids);
    std::string text;
    try {
      generate(model_, adapters_, prompt.ids, options, [&](TokenId id) {
        text += stream.push(id);
        return interrupted_by() == 0;
      });
    } catch (const NumericError& error) {
      return warn(error.what());  // what has been trained is not given up for it
    }
    if (interrupted_by()) return;
    text += stream.finish();
    note(fmt::format("after step {}, \"{}\": {}", step, escaped(prompt.text, 60), escaped(text, 300)));
    last_.push_back(Json::Object{{"prompt", prompt.text}, {"text", text}});
  }
}

}  // namespace loragrad
