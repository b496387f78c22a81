#include "train/run_record.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <limits>

#include "io/fnv.h"
#include "io/message.h"

namespace loragrad {
namespace {

constexpr std::int64_t any = std::numeric_limits<std::int64_t>::max();

std::string yes_or_no(bool value) { return value ? "yes" : "no"; }

/// "x=4,y=8"; "" for none.
template <class T>
std::string pattern_text(const std::vector<std::pair<std::string, T>>& pattern) {
  std::string text;
  for (const auto& [key, value] : pattern) text += fmt::format("{}{}={}", text.empty() ? "" : ",", key, value);
  return text;
}

/// "5,17", with the module before where one is named
std::string tokens_text(const std::vector<TrainableTokens>& tokens) {
  std::string text;
  for (const TrainableTokens& each : tokens)
    text += fmt::format("{}{}{}{}", text.empty() ? "" : " ", each.module, each.module.empty() ? "" : ":",
                        fmt::join(each.ids, ","));
  return text;
}

const std::string* find(const RunRecord::Options& options, const std::string& name) {
  auto found = std::find_if(options.begin(), options.end(), [&](const auto& each) { return each.first == name; });
  return found == options.end() ? nullptr : &found->second;
}

void compare(const RunRecord::Options& then, const RunRecord::Options& now, std::vector<std::string>& out) {
  auto shown = [](const std::string* value) { return !value || value->empty() ? "none" : escaped(*value, 60); };
  for (const auto& [name, value] : now)
    if (const std::string* old = find(then, name); !old || *old != value)
      out.push_back(fmt::format("--{} {} instead of {}", name, shown(&value), shown(old)));
  for (const auto& [name, value] : then)
    if (!find(now, name)) out.push_back(fmt::format("--{} none instead of {}", name, shown(&value)));
}

Json::Object options_json(const RunRecord::Options& options) {
  Json::Object json;
  for (const auto& [name, value] : options) json.emplace_back(name, value);
  return json;
}

RunRecord::Options read_options(const JsonRef& json) {
  RunRecord::Options options;
  for (const auto& [name, value] : json.members()) options.emplace_back(name, value.string());
  return options;
}

}  // namespace

void RunRecord::add(const TrainOptions& o) {
  auto number = [](double value) { return fmt::format("{}", value); };
  options.insert(options.end(), {{"lr", number(o.lr)},
                                 {"weight-decay", number(o.weight_decay)},
                                 {"beta1", number(o.beta1)},
                                 {"beta2", number(o.beta2)},
                                 {"eps", number(o.eps)},
                                 {"schedule", std::string(name_of(o.schedule))},
                                 {"warmup-steps", fmt::to_string(o.warmup_steps)},
                                 {"loraplus-ratio", number(o.loraplus_ratio)},
                                 {"clip", number(o.clip)},
                                 {"batch-size", fmt::to_string(o.batch_size)},
                                 {"grad-accum", fmt::to_string(o.grad_accum)},
                                 {"max-tokens-per-batch", fmt::to_string(o.max_tokens_per_batch)},
                                 {"seed", fmt::to_string(o.seed)},
                                 {"no-shuffle", yes_or_no(!o.shuffle)}});
  stops_early = o.early_stop > 0;
}

void RunRecord::add(const LoraConfig& c) {
  // A new field does not compile here: name it, and put it into the list.
  const auto& [r, lora_alpha, target_modules, lora_dropout, use_rslora, init_lora_weights, rank_pattern, alpha_pattern,
               lora_bias, use_dora, bias, modules_to_save, trainable_token_indices] = c;
  bool standard = init_lora_weights == LoraInit::standard;
  std::string init(standard ? "default" : name_of(init_lora_weights));
  options.insert(options.end(), {{"rank", fmt::to_string(r)},
                                 {"alpha", fmt::format("{}", lora_alpha)},
                                 {"dropout", fmt::format("{}", lora_dropout)},
                                 {"target", target_modules.text()},
                                 {"init", init},
                                 {"rslora", yes_or_no(use_rslora)},
                                 {"lora-bias", yes_or_no(lora_bias)},
                                 {"dora", yes_or_no(use_dora)},
                                 {"bias", std::string(name_of(bias))},
                                 {"modules-to-save", fmt::format("{}", fmt::join(modules_to_save, ","))},
                                 {"trainable-tokens", tokens_text(trainable_token_indices)},
                                 {"rank-pattern", pattern_text(rank_pattern)},
                                 {"alpha-pattern", pattern_text(alpha_pattern)}});
}

std::string rows_hash(const Dataset& data) {
  Fnv1a hash;
  auto add = [&](const std::vector<TokenId>& ids) {
    hash.add_number(ids.size());
    for (TokenId id : ids) hash.add_number(static_cast<std::uint32_t>(id));
  };
  for (const Row& row : data.rows) {
    add(row.input_ids);
    add(row.labels);
    hash.add_number(row.adapter.size());
    hash.add(row.adapter);
  }
  return hash.text();
}

Json::Object record_json(const RunRecord& record) {
  return {{"options", options_json(record.options)},
          {"data_options", options_json(record.data_options)},
          {"data", record.data},
          {"eval_data", record.eval_data},
          {"base", record.base},
          {"stops_early", record.stops_early},
          {"device", record.device},
          {"steps", record.steps},
          {"micro_batch", record.micro_batch}};
}

RunRecord read_record(const JsonRef& json) {
  return {.options = read_options(json.at("options")),
          .data_options = read_options(json.at("data_options")),
          .data = json.at("data").string(),
          .eval_data = json.at("eval_data").string(),
          .base = json.at("base").string(),
          .stops_early = json.at("stops_early").boolean(),
          .device = json.at("device").string(),
          .steps = json.at("steps").integer(0, any),
          .micro_batch = json.at("micro_batch").integer(0, any)};
}

RunDifferences differences(const RunRecord& then, const RunRecord& now) {
  RunDifferences found;
  compare(then.options, now.options, found.refused);
  if (then.base != now.base) found.refused.push_back("another base");
  if (then.data != now.data) {
    found.refused.push_back("other rows in --data");
    compare(then.data_options, now.data_options, found.refused);
  }
  if (now.steps < then.steps)
    found.refused.push_back(fmt::format("{} steps instead of {}", grouped(now.steps), grouped(then.steps)));
  if (now.steps > then.steps)
    found.notes.push_back(fmt::format("{} steps instead of {}: the schedule follows the new number from here on",
                                      grouped(now.steps), grouped(then.steps)));
  found.other_eval_data = !then.eval_data.empty() && then.eval_data != now.eval_data;
  if (found.other_eval_data && then.stops_early && now.stops_early)
    found.refused.push_back("other rows in --eval-data, which --early-stop reads");
  else if (found.other_eval_data && !now.eval_data.empty())
    found.notes.push_back("other rows in --eval-data: the best evaluation is looked for anew");
  if (then.device != now.device)
    found.notes.push_back(fmt::format("computed by {} instead of {}: not bit for bit", now.device, then.device));
  if (then.micro_batch != now.micro_batch)
    found.notes.push_back(fmt::format("{} instead of {} rows at a time, as memory has it: not bit for bit",
                                      now.micro_batch, then.micro_batch));
  return found;
}

}  // namespace loragrad
