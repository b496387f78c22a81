#include "app/known_names.h"

#include <algorithm>
#include <string_view>

namespace loragrad {
namespace {

/// A name from elsewhere, what it is here, and what differs. A flag may stand with its value. Where it is "", only the
/// note is said: it keeps a name that merely looks like ours (--top-k, --top-p) from being suggested. A line counts for
/// subcommands that have its flag and all that its note names; of several lines for a name, the first that does.
struct KnownName {
  std::string_view name, flag, note;
};
constexpr KnownName known_names[] = {
    // The model, the data, the output.
    {"model-name-or-path", "model", ""},
    {"pretrained-model-name-or-path", "model", ""},
    {"model-name", "model", ""},
    {"model-id", "model", ""},
    {"model-path", "model", ""},
    {"model-dir", "model", ""},
    {"model-base", "model", ""},
    {"base-model", "model", ""},
    {"hf-path", "model", ""},
    {"m", "model", ""},
    {"config-name", "config-json", ""},
    {"config", "config-json", ""},
    {"tokenizer-name", "tokenizer", "a tokenizer.json"},
    {"tokenizer-name-or-path", "tokenizer", "a tokenizer.json"},
    {"tokenizer-path", "tokenizer", "a tokenizer.json"},
    {"dataset", "data", ""},
    {"datasets", "data", ""},
    {"date", "", "no chat template is read, and nothing else asks for the day"},
    {"dataset-name", "data", "a file or folder"},
    {"dataset-path", "data", ""},
    {"dataset-dir", "data", ""},
    {"data-path", "data", ""},
    {"data-dir", "data", ""},
    {"data-file", "data", ""},
    {"data-files", "data", ""},
    {"train-data", "data", ""},
    {"train-file", "data", ""},
    {"train-files", "data", ""},
    {"eval-dataset", "eval-data", ""},
    {"eval-file", "eval-data", ""},
    {"validation-file", "eval-data", ""},
    {"validation-data", "eval-data", ""},
    {"valid-data", "eval-data", ""},
    {"val-data", "eval-data", ""},
    {"val-file", "eval-data", ""},
    {"test-datasets", "eval-data", ""},
    {"val-set-size", "", "nothing is split off: give other rows as --eval-data"},
    {"test-size", "", "nothing is split off: give other rows as --eval-data"},
    {"dataset-test-split", "split", ""},
    {"output-dir", "output", ""},
    {"out-dir", "output", ""},
    {"out", "output", ""},
    {"o", "output", ""},
    {"save-path", "output", ""},
    {"export-dir", "output", ""},
    {"lora-out", "output", ""},
    {"overwrite-output-dir", "overwrite", ""},
    {"adapter-path", "adapter", ""},
    {"adapter-path", "output", "the folder to write; --init-adapter starts from one"},
    {"adapter-file", "adapter", "a folder"},
    {"adapter-name-or-path", "adapter", ""},
    {"adapter-name-or-path", "init-adapter", ""},
    {"lora", "adapter", "a folder as PEFT writes it"},
    {"lora-scaled", "adapter", "DIR:WEIGHT"},
    {"lora-path", "adapter", ""},
    {"lora-weights", "adapter", ""},
    {"lora-model-dir", "adapter", ""},
    {"lora-model-dir", "init-adapter", ""},
    {"peft-model", "adapter", ""},
    {"peft-model-id", "adapter", ""},
    {"adapters", "adapter", ""},
    {"resume-adapter-file", "init-adapter", "a folder"},
    {"resume-from-checkpoint", "init-adapter", "the adapter alone: the optimiser begins anew"},
    // The adapter.
    {"r", "rank", ""},
    {"lora-r", "rank", ""},
    {"lora-rank", "rank", ""},
    {"lora-dim", "rank", ""},
    {"lora-alpha", "alpha", ""},
    {"lora-scale", "", "--alpha is the scale times --rank"},
    {"scale", "", "--alpha is the scale times --rank"},
    {"lora-dropout", "dropout", ""},
    {"target-modules", "target", "names with commas between"},
    {"lora-target-modules", "target", "names with commas between"},
    {"lora-target", "target", ""},
    {"lora-modules", "target", "names with commas between"},
    {"lora-target-linear", "target all-linear", ""},
    {"use-rslora", "rslora", ""},
    {"use-rs-lora", "rslora", ""},
    {"init-lora-weights", "init", "default or gaussian"},
    {"lora-layers", "", "every layer is adapted; --target regex:PATTERN selects by whole names"},
    {"num-layers", "", "every layer is adapted; --target regex:PATTERN selects by whole names"},
    {"layers-to-transform", "", "every layer is adapted; --target regex:PATTERN selects by whole names"},
    {"use-peft", "", "an adapter is the default, --full trains all parameters"},
    {"use-lora", "", "an adapter is the default, --full trains all parameters"},
    {"fine-tune-type", "", "an adapter is the default, --full trains all parameters"},
    {"finetuning-type", "", "an adapter is the default, --full trains all parameters"},
    {"full-finetuning", "full", ""},
    {"load-in-4bit", "", "the base is used as it is stored"},
    {"load-in-8bit", "", "the base is used as it is stored"},
    // The optimiser and its rate.
    {"learning-rate", "lr", ""},
    {"adam-alpha", "lr", ""},
    {"adam-beta1", "beta1", ""},
    {"adam-beta2", "beta2", ""},
    {"adam-epsilon", "eps", ""},
    {"adam-eps", "eps", ""},
    {"epsilon", "eps", ""},
    {"optim", "", "it is always AdamW, in f32"},
    {"optimizer", "", "it is always AdamW, in f32"},
    {"wd", "weight-decay", ""},
    {"lr-scheduler-type", "schedule", ""},
    {"lr-scheduler", "schedule", ""},
    {"lr-schedule", "schedule", ""},
    {"scheduler", "schedule", ""},
    {"warmup", "warmup-steps", ""},
    {"warmup-iters", "warmup-steps", ""},
    {"num-warmup-steps", "warmup-steps", ""},
    {"warmup-ratio", "", "--warmup-steps has it in steps, not as a share of them"},
    {"min-lr", "", "every schedule but constant ends at 0"},
    {"max-grad-norm", "clip", ""},
    {"max-norm", "clip", ""},
    {"grad-clip", "clip", ""},
    {"gradient-clip", "clip", ""},
    {"gradient-clipping", "clip", ""},
    // How much, how often.
    {"num-train-epochs", "epochs", ""},
    {"num-epochs", "epochs", ""},
    {"n-epochs", "epochs", ""},
    {"max-steps", "steps", ""},
    {"num-steps", "steps", ""},
    {"train-steps", "steps", ""},
    {"iters", "steps", ""},
    {"max-iters", "steps", ""},
    {"iterations", "steps", ""},
    {"adam-iter", "steps", ""},
    {"per-device-train-batch-size", "batch-size", ""},
    {"per-gpu-train-batch-size", "batch-size", ""},
    {"train-batch-size", "batch-size", ""},
    {"micro-batch-size", "batch-size", ""},
    {"bs", "batch-size", ""},
    {"per-device-eval-batch-size", "tokens-per-batch", "in tokens, not rows; the result does not depend on it"},
    {"per-device-eval-batch-size", "", "evaluation takes as many rows as fit; the result does not depend on it"},
    {"eval-batch-size", "tokens-per-batch", "in tokens, not rows; the result does not depend on it"},
    {"batch-size", "tokens-per-batch", "in tokens, not rows; the result does not depend on it"},
    {"gradient-accumulation-steps", "grad-accum", ""},
    {"grad-accumulation-steps", "grad-accum", ""},
    {"gradient-accumulation", "grad-accum", ""},
    {"accumulate-grad-batches", "grad-accum", ""},
    {"accumulation-steps", "grad-accum", ""},
    {"global-batch-size", "", "--batch-size times --grad-accum"},
    {"max-seq-length", "seq-len", ""},
    {"max-seq-len", "seq-len", ""},
    {"max-sequence-length", "seq-len", ""},
    {"sequence-len", "seq-len", ""},
    {"sequence-length", "seq-len", ""},
    {"seq-length", "seq-len", ""},
    {"model-max-length", "seq-len", ""},
    {"cutoff-len", "seq-len", ""},
    {"block-size", "seq-len", ""},
    {"max-length", "seq-len", ""},
    {"max-length", "max-tokens", "without the prompt's"},
    {"ctx-size", "seq-len", ""},
    {"eval-steps", "eval-every", ""},
    {"steps-per-eval", "eval-every", ""},
    {"eval-interval", "eval-every", ""},
    {"eval-strategy", "eval-every", "a number of steps"},
    {"evaluation-strategy", "eval-every", "a number of steps"},
    {"logging-steps", "", "--metrics has a line for every step"},
    {"steps-per-report", "", "--metrics has a line for every step"},
    {"log-interval", "", "--metrics has a line for every step"},
    {"save-every", "", "--output is written at the end, and on SIGINT or SIGTERM"},
    {"save-steps", "", "--output is written at the end, and on SIGINT or SIGTERM"},
    {"save-strategy", "", "--output is written at the end, and on SIGINT or SIGTERM"},
    {"save-total-limit", "", "--output is written at the end, and on SIGINT or SIGTERM"},
    {"val-batches", "", "evaluation takes all rows of --eval-data"},
    {"do-train", "", "the subcommand says what is done: train, eval, generate"},
    {"do-eval", "", "the subcommand says what is done: train, eval, generate"},
    {"train", "", "the subcommand says what is done: train, eval, generate"},
    {"test", "", "the subcommand says what is done: train, eval, generate"},
    {"logging-dir", "metrics", "a file"},
    {"report-to", "", "--metrics has a line for every step"},
    {"random-seed", "seed", ""},
    {"random-state", "seed", ""},
    {"data-seed", "seed", "of everything"},
    {"s", "seed", ""},
    {"shuffle", "", "rows are shuffled unless --no-shuffle is given"},
    {"max-grad-value", "", "there is --clip, of the norm of all gradients together"},
    {"packing", "", "rows are never padded, so nothing is gained by it"},
    {"sample-packing", "", "rows are never padded, so nothing is gained by it"},
    {"pad-to-sequence-len", "", "rows are never padded"},
    {"group-by-length", "", "rows are never padded, so nothing is gained by it"},
    {"train-on-inputs", "", "rows of text have loss on every token, prompt and completion on the completion"},
    {"completion-only-loss", "", "rows of prompt and completion have loss on the completion alone"},
    {"mask-prompt", "", "rows of prompt and completion have loss on the completion alone"},
    {"dataset-text-field", "", "rows have their text as \"text\""},
    {"add-eos-token", "", "rows end with it unless --no-eos is given"},
    // How it is computed.
    {"bf16", "precision bf16", ""},
    {"fp32", "precision f32", ""},
    {"fp16", "precision", "f32 or bf16; f16 is read and not computed in"},
    {"half", "precision", "f32 or bf16; f16 is read and not computed in"},
    {"dtype", "precision", "auto, f32 or bf16"},
    {"torch-dtype", "precision", "auto, f32 or bf16"},
    {"mixed-precision", "precision", "auto, f32 or bf16"},
    {"use-gradient-checkpointing", "checkpoint-activations", ""},
    {"gradient-checkpointing", "checkpoint-activations", ""},
    {"grad-checkpoint", "checkpoint-activations", ""},
    {"activation-checkpointing", "checkpoint-activations", ""},
    {"t", "threads", ""},
    {"num-threads", "threads", ""},
    {"n-threads", "threads", ""},
    {"nthreads", "threads", ""},
    {"no-cuda", "device cpu", ""},
    {"use-cpu", "device cpu", ""},
    {"device-map", "device", "one device has all of the model"},
    {"gpu-layers", "device", "one device has all of the model"},
    {"n-gpu-layers", "device", "one device has all of the model"},
    {"ngl", "device", "one device has all of the model"},
    // Generation.
    {"max-new-tokens", "max-tokens", ""},
    {"n-predict", "max-tokens", ""},
    {"predict", "max-tokens", ""},
    {"num-predict", "max-tokens", ""},
    {"n", "max-tokens", ""},
    {"p", "prompt", ""},
    {"input", "prompt", ""},
    {"text", "prompt", ""},
    {"do-sample", "temperature", "above 0 it draws"},
    {"temp", "temperature", ""},
    {"top-k", "", "there is --top-p, which counts probability, not tokens"},
    {"min-p", "", "there is --top-p, which counts from the likeliest down"},
    {"num-beams", "", "there is --temperature, and no beams"},
    {"repetition-penalty", "", "there is --temperature, and no penalty"},
    {"repeat-penalty", "", "there is --temperature, and no penalty"},
    {"c", "", "the model's own length of context is used; --max-tokens ends before it"},
    {"ctx-size", "", "the model's own length of context is used; --max-tokens ends before it"},
};

/// Whether the subcommand has every flag that a text names.
bool has_all(std::string_view text, const std::function<bool(const std::string&)>& has) {
  for (std::size_t at; (at = text.find("--")) != std::string_view::npos;) {
    text.remove_prefix(at + 2);
    if (!has(std::string(text.substr(0, text.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789-")))))
      return false;
  }
  return true;
}

}  // namespace

std::string flag_name(const std::string& word) {
  std::string name = word.substr(0, word.find('='));
  name.erase(0, std::min(name.find_first_not_of('-'), name.size()));
  std::replace(name.begin(), name.end(), '_', '-');
  return name;
}

std::string known_name_hint(const std::string& name, const std::function<bool(const std::string&)>& has) {
  if (has(name)) return ": did you mean --" + name + "?";
  for (const KnownName& known : known_names) {
    std::string flag(known.flag), note(known.note);
    if (known.name != name || !has_all(note, has)) continue;
    if (flag.empty()) return ": " + note;
    if (!has(flag.substr(0, flag.find(' ')))) continue;
    return ": did you mean --" + flag + "?" + (note.empty() ? "" : " (" + note + ")");
  }
  return "";
}

}  // namespace loragrad
