#include "train/model_card.h"

#include <fmt/format.h>

#include <cmath>
#include <filesystem>
#include <sstream>

#include "engine/error.h"
#include "io/json.h"
#include "io/mapped_file.h"
#include "io/siblings.h"
#include "train/progress.h"

namespace loragrad {
namespace {

/// The number tells which definition of the hash it is (docs/formats.md).
constexpr std::string_view hash_key = "base_model_hash: loragrad-1-";

/// A YAML scalar: a JSON string is one, whatever it holds.
std::string quoted(const std::string& text) {
  std::string out;
  append_json_string(out, text, false);
  return out;
}

/// Text between backticks, on one line, also in a table.
std::string code(const std::string& text) {
  std::string out;
  for (char c : escaped(text, 4096)) {
    if (c == '|') out += '\\';
    out += c == '`' ? '\'' : c;
  }
  return "`" + out + "`";
}

void line(std::string& out, std::string_view key, const std::string& value) {
  out += fmt::format("| {} | {} |\n", key, value);
}

std::string hyper_parameters(const CardFacts& facts, const Adapter* adapter) {
  const TrainOptions& o = facts.options;
  std::string out = "| | |\n|---|---|\n";
  if (adapter) {
    const LoraConfig& c = adapter->config;
    line(out, "rank, alpha, dropout", fmt::format("{}, {}, {}", c.r, c.lora_alpha, c.lora_dropout));
    line(out, "scaling", c.use_rslora ? "alpha / sqrt(rank)" : "alpha / rank");
    if (c.lora_bias) line(out, "bias of B", "trained (lora_bias)");
    if (c.use_dora) line(out, "lengths of the weights' rows", "trained (DoRA)");
    if (c.bias != TrainedBias::none) line(out, "biases of the base", fmt::format("trained ({})", name_of(c.bias)));
    if (!c.modules_to_save.empty())
      line(out, "modules trained whole", code(fmt::format("{}", fmt::join(c.modules_to_save, ", "))));
    for (const TrainedRows& rows : adapter->rows_of_base)
      line(out, "trained tokens", fmt::format("{} rows of {}", rows.ids.size(), code(rows.module)));
    if (changes_base(c.init_lora_weights))
      line(out, "started as",
           fmt::format("a part of the base ({}); saved for the base itself, with rank {}", name_of(c.init_lora_weights),
                       2 * c.r));
    line(out, "target modules", fmt::format("{} ({} modules)", code(c.target_modules.text()), adapter->modules.size()));
  }
  line(out, "optimiser",
       fmt::format("AdamW, betas {} and {}, eps {}, weight decay {}", o.beta1, o.beta2, o.eps, o.weight_decay));
  line(out, "learning rate",
       fmt::format("{}, {} schedule, {} warm-up steps", o.lr, name_of(o.schedule), o.warmup_steps));
  if (adapter && o.loraplus_ratio != 1)
    line(out, "learning rate of B", fmt::format("{} times A's (LoRA+)", o.loraplus_ratio));
  line(out, "gradient clipping", o.clip > 0 ? fmt::format("norm {}", o.clip) : "off");
  line(out, "rows per step", fmt::format("{} ({} x {})", o.rows_per_step(), o.batch_size, o.grad_accum));
  line(out, "longest row", fmt::format("{} tokens", facts.seq_len));
  line(out, "seed", fmt::format("{}{}", o.seed, o.shuffle ? "" : ", rows in file order"));
  return out;
}

std::string list_of(const std::vector<std::string>& paths) {
  std::string out;
  for (const std::string& path : paths) out += fmt::format("- {}\n", code(last_name(path)));
  return out;
}

std::string which_text(const CardFacts& facts) {
  const TrainResult::Best& best = *facts.result.best;
  std::string loss = fmt::format("the lowest loss of all evaluations, {:.4f} after step {}", best.loss, best.step);
  if (facts.which == CardFacts::Which::best)
    return fmt::format("This is the adapter that had {}. The folder around it has the one after the last step, {}.\n\n",
                       loss, facts.result.steps);
  if (best.step == facts.result.steps)
    return fmt::format("This adapter, the last, had {}; `best/` has the same.\n\n", loss);
  return fmt::format("This is the adapter after the last step. `best/` has the one that had {}.\n\n", loss);
}

std::string best_results(const CardFacts& facts) {
  double loss = facts.result.best->loss;
  return fmt::format("Loss on {}: {:.4f} (perplexity {:.2f}).\n", code(last_name(facts.eval_data)), loss,
                     std::exp(loss));
}

std::string last_results(const CardFacts& facts) {
  const TrainResult& r = facts.result;
  std::string out =
      r.loss ? fmt::format("Training loss of the last step: {:.4f}.\n", *r.loss) : "No step had a loss.\n";
  if (!r.eval) return out;
  std::string on = fmt::format("Loss on {}: ", code(last_name(facts.eval_data)));
  if (!r.eval->not_finite.empty()) return out + on + "not finite.\n";
  return out + on +
         fmt::format("{:.4f} (perplexity {:.2f}, {} supervised tokens).\n", r.eval->loss, r.eval->perplexity,
                     r.eval->supervised_tokens);
}

/// The front matter and the title.
std::string head(const std::string& base_model, const std::string& base_hash, bool adapter) {
  std::string out = fmt::format("---\nbase_model: {}\nlibrary_name: {}\npipeline_tag: text-generation\ntags:\n",
                                quoted(base_model), adapter ? "peft" : "transformers");
  if (adapter) out += fmt::format("- {}\n- lora\n", quoted("base_model:adapter:" + base_model));
  out += "- loragrad\n";
  if (adapter && !base_hash.empty()) out += fmt::format("{}{}\n", hash_key, base_hash);
  return out +
         fmt::format("---\n\n# {} {}\n\n", adapter ? "LoRA adapter for" : "Fine-tuned", code(last_name(base_model)));
}

std::string usage(const std::string& base_model, bool adapter) {
  std::string base = quoted(base_model);
  if (!adapter)
    return "```python\nfrom transformers import AutoModelForCausalLM\n\nmodel = "
           "AutoModelForCausalLM.from_pretrained(\"path/to/this/folder\")\n```\n";
  return fmt::format(
      "```python\nfrom peft import PeftModel\nfrom transformers import AutoModelForCausalLM\n\n"
      "base = AutoModelForCausalLM.from_pretrained({})\nmodel = PeftModel.from_pretrained(base, "
      "\"path/to/this/folder\")\n```\n\n"
      "or, with loragrad:\n\n```\nloragrad generate --model BASE --adapter path/to/this/folder --prompt TEXT\n```\n",
      base);
}

}  // namespace

std::optional<std::string> card_base_hash(const std::string& adapter_folder) {
  std::string path = adapter_folder + "/README.md";
  std::error_code error;
  if (!std::filesystem::is_regular_file(path, error)) return std::nullopt;
  std::istringstream card;
  try {
    card.str(read_file(path));
  } catch (const Error&) {
    return std::nullopt;  // nothing else of a card is used
  }
  std::string line;
  // The front matter alone, which ends at the second line of dashes.
  for (int dashes = 0; dashes < 2 && std::getline(card, line);) {
    while (!line.empty() && (line.back() == '\r' || line.back() == ' ')) line.pop_back();
    if (line == "---")
      ++dashes;
    else if (dashes == 0)
      break;
    else if (line.starts_with(hash_key))
      return line.substr(hash_key.size());
  }
  return std::nullopt;
}

bool is_our_card(std::string_view text) {
  std::string_view front_matter = text.substr(0, text.find("\n---\n", 3) + 1);
  return text.starts_with("---\n") && front_matter.find("\n- loragrad\n") != std::string_view::npos;
}

std::string merged_card(const std::string& base_model, const std::vector<std::string>& adapters) {
  std::string out = fmt::format(
      "---\nbase_model: {}\nlibrary_name: transformers\npipeline_tag: text-generation\ntags:\n- merge\n- "
      "loragrad\n---\n\n# {} with adapters merged into it\n\nMerged with loragrad:\n\n",
      quoted(base_model), code(last_name(base_model)));
  return out + list_of(adapters) + "\n## How to use it\n\n" + usage(base_model, false);
}

std::string made_adapter_card(const std::string& base_model, const std::string& base_hash, const std::string& how,
                              const std::vector<std::string>& sources) {
  return head(base_model, base_hash, true) + how + "\n\n" + list_of(sources) + "\n## How to use it\n\n" +
         usage(base_model, true);
}

std::string model_card(const CardFacts& facts, const Adapter* adapter) {
  const TrainResult& r = facts.result;
  std::string out = head(facts.base_model, facts.base_hash, adapter != nullptr);

  bool is_best = facts.which == CardFacts::Which::best;
  std::string end = fmt::format("{} steps{}, {} tokens, {}", r.steps,
                                r.stopped         ? " (interrupted)"
                                : r.early_stopped ? " (stopped early, as evaluations did not get better)"
                                                  : "",
                                r.tokens, duration_text(r.seconds));
  out += fmt::format("Trained with loragrad on {} ({} rows, {} supervised tokens): {}.\n", code(last_name(facts.data)),
                     facts.rows, facts.supervised_tokens, is_best ? fmt::format("{} steps", r.best->step) : end);
  out += fmt::format("{} of {} parameters were trained.\n\n## Results\n\n", facts.trainable, facts.parameters);
  if (facts.which != CardFacts::Which::only) out += which_text(facts);
  out += is_best ? best_results(facts) : last_results(facts);
  out += "\n## Hyper-parameters\n\n" + hyper_parameters(facts, adapter) + "\n## How to use it\n\n" +
         usage(facts.base_model, adapter != nullptr);
  return out;
}

}  // namespace loragrad
