#include "app/advice.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <set>

#include "app/end_tokens.h"
#include "app/terminal/word_wrap.h"
#include "app/training/learnable.h"
#include "engine/error.h"
#include "io/json.h"
#include "io/message.h"
#include "train/progress.h"

namespace loragrad {
namespace {

// Where LoRA's learning rates lie whatever the rank, and ten times less those of all parameters: Schulman and Thinking
// Machines Lab 2025, "LoRA without regret"; Hu et al. 2021, appendix D.
constexpr double usual_lora = 2e-4, usual_full = 2e-5, far = 10;

class Advice {
 public:
  Advice(const TrainFlags& flags, const TrainingPlan& plan, const CausalLm& model)
      : flags_(flags),
        plan_(plan),
        model_(model),
        data_(plan.data.train),
        tokenizer_(pointer(plan.tokenizer)),
        ends_(end_tokens(model.config(), tokenizer_)) {}

  std::vector<std::string> operator()() {
    end_of_rows();
    padding();
    beginnings();
    lost_rows();
    learning_rate();
    targets();
    return std::move(found_);
  }

 private:
  template <class Test>
  std::int64_t rows_that(Test test) const {
    return std::count_if(data_.rows.begin(), data_.rows.end(), test);
  }
  bool is_end(TokenId id) const { return std::count(ends_.begin(), ends_.end(), id) > 0; }
  std::string rows_text(std::int64_t count) const {
    return fmt::format("{} of {} rows", grouped(count), grouped(static_cast<std::int64_t>(data_.rows.size())));
  }

  void end_of_rows() {
    if (data_.format == "txt" || ends_.empty()) return;  // pieces of a text; what a model without end tokens is told
    auto masked = rows_that([this](const Row& row) {
      return !row.labels.empty() && is_end(row.input_ids.back()) && row.labels.back() == no_label;
    });
    if (masked > 0)
      found_.push_back(fmt::format(
          "{} end with an end token that has no loss, as programs leave it that take the end token for padding: the "
          "model does not learn to end. Give it its own id as its label",
          rows_text(masked)));
    else if (std::none_of(ends_.begin(), ends_.end(), [this](TokenId id) { return is_supervised(data_, id); }))
      found_.push_back(fmt::format("no row has an end token with a loss ({}): the model does not learn to end. {}",
                                   token_text(ends_.front(), tokenizer_),
                                   flags_.data.no_eos ? "Leave --no-eos out"
                                   : data_.cut_rows > 0
                                       ? "A larger --seq-len keeps the ends of rows"
                                       : "Put it at the end of input_ids, with its own id as its label"));
  }

  /// By the files beside the tokenizer: here nothing is padded.
  void padding() {
    std::string path = flags_.model_folder + "/tokenizer_config.json";
    if (!std::filesystem::exists(path)) return;
    Json json = read_json_file(path);
    auto named = [&](const char* key) -> std::string {
      auto value = JsonRef(json, path).find(key);
      if (value && value->is_object()) value = value->find("content");
      return value && value->is_string() ? value->string() : "";
    };
    std::string pad = named("pad_token");
    if (pad.empty() || pad != named("eos_token")) return;
    found_.push_back(fmt::format(
        "the padding is the end token, \"{}\": here nothing is padded, and the end has its loss; in a program that "
        "masks the padding's labels, the model would not learn to end. Name another pad_token there",
        escaped(pad)));
  }

  void beginnings() {
    std::optional<TokenId> bos = model_.config().bos_token_id;
    if (tokenizer_ && !tokenizer_->special_before().empty()) bos = tokenizer_->special_before().front();
    if (!bos) return;
    auto twice = rows_that([&](const Row& row) {
      return row.input_ids.size() > 1 && row.input_ids[0] == *bos && row.input_ids[1] == *bos;
    });
    if (twice > 0)
      found_.push_back(
          fmt::format("{} begin with two beginnings of a text, {}: the text or its template has one, and the tokenizer "
                      "adds another. Take it out of the text",
                      rows_text(twice), token_text(*bos, tokenizer_)));
  }

  void lost_rows() {
    if (data_.cut_rows > 0)
      found_.push_back(fmt::format(
          "{} lost their end to --seq-len {}: a larger one keeps it, or shorter texts do; a row without its "
          "end does not teach to end",
          rows_text(data_.cut_rows), flags_.data.seq_len));
    if (std::int64_t idle = data_.emptied_rows + data_.unsupervised_rows; idle > 0)
      found_.push_back(fmt::format("{} have no supervised token, and teach nothing: leave them out{}", rows_text(idle),
                                   data_.emptied_rows > 0 ? ", or raise --seq-len" : ", or look at their labels"));
  }

  void learning_rate() {
    double lr = flags_.training.options.lr, usual = flags_.lora.full ? usual_full : usual_lora;
    const char* of = flags_.lora.full ? "training all parameters" : "LoRA";
    // Ten times the usual is some adapters' best; for all parameters it is LoRA's rate.
    bool high = flags_.lora.full ? lr >= usual * far : lr > usual * far;
    if (lr == 0 || (lr > usual / far && !high)) return;
    found_.push_back(
        fmt::format("--lr {} is ten times or more {} what {} wants on most models, some {}: try that first{}", lr,
                    lr < usual ? "below" : "above", of, usual,
                    !flags_.lora.full && lr < usual ? " (rates of full fine-tuning are ten times lower)" : ""));
  }

  void targets() {
    if (!plan_.adapter) return;
    std::set<std::string> all;
    for (const LinearShape& map : model_.linear_shapes()) all.insert(map.name.substr(map.name.rfind('.') + 1));
    std::vector<std::string> adapted;
    for (const auto& [kind, count] : plan_.modules())
      if (all.count(kind)) adapted.push_back(kind);
    if (2 * adapted.size() >= all.size()) return;
    found_.push_back(
        fmt::format("{} of {} kinds of linear maps are adapted ({}): adapters of all of them learn more with as many "
                    "parameters. Try --target all-linear, with a lower --rank for the same size",
                    adapted.size(), all.size(), list_text(adapted, 120)));
  }

  const TrainFlags& flags_;
  const TrainingPlan& plan_;
  const CausalLm& model_;
  const Dataset& data_;
  const Tokenizer* tokenizer_;
  std::vector<TokenId> ends_;
  std::vector<std::string> found_;
};

}  // namespace

std::string advice_text(const std::vector<std::string>& advice, int width) {
  std::string text;
  for (const std::string& sentence : advice) {
    WordWrap wrap(width - 4);
    std::string lines = wrap.push(sentence) + wrap.finish();
    for (std::size_t at = 0; (at = lines.find('\n', at)) != std::string::npos; ++at) lines.insert(at + 1, "    ");
    text += "  - " + lines + "\n";
  }
  return text.empty() ? "" : "advice\n" + text;
}

std::vector<std::string> advice(const TrainFlags& flags, const TrainingPlan& plan, const CausalLm& model) {
  return Advice(flags, plan, model)();
}

}  // namespace loragrad
