#include "train/state_json.h"

#include <cmath>
#include <limits>

namespace loragrad {
namespace {

constexpr std::int64_t most = std::numeric_limits<std::int64_t>::max();
constexpr double largest = std::numeric_limits<double>::max();

std::int64_t count(const JsonRef& json, std::string_view key) { return json.at(key).integer(0, most); }

double number_or_nan(const JsonRef& json, std::string_view key) {
  auto value = json.find(key);
  return value ? value->number(-largest, largest) : std::numeric_limits<double>::quiet_NaN();
}

Json eval_json(const std::optional<EvalReport>& eval) {
  if (!eval) return {};
  return Json::Object{{"loss", eval->loss},       {"supervised_tokens", eval->supervised_tokens},
                      {"tokens", eval->tokens},   {"rows", eval->rows},
                      {"seconds", eval->seconds}, {"not_finite", eval->not_finite}};
}

EvalReport read_eval(const JsonRef& json) {
  EvalReport eval;
  eval.loss = number_or_nan(json, "loss");
  eval.perplexity = std::exp(eval.loss);
  eval.supervised_tokens = count(json, "supervised_tokens");
  eval.tokens = count(json, "tokens");
  eval.rows = count(json, "rows");
  eval.seconds = json.at("seconds").number(0, largest);
  eval.not_finite = json.at("not_finite").string();
  return eval;
}

}  // namespace

Json::Object state_json(const TrainState& state) {
  const TrainResult& r = state.result;
  Json best;
  if (r.best) best = Json::Object{{"step", r.best->step}, {"loss", r.best->loss}};
  return {{"step", r.steps},
          {"position", state.position},
          {"updates", state.updates},
          {"learning_steps", r.learning_steps},
          {"tokens", r.tokens},
          {"supervised_tokens", r.supervised_tokens},
          {"seconds", r.seconds},
          {"loss", r.loss ? Json(*r.loss) : Json()},
          {"evaluated", state.evaluated},
          {"eval", eval_json(r.eval)},
          {"best", std::move(best)},
          {"evaluations_since_best", state.evaluations_since_best},
          {"early_stopped", r.early_stopped}};
}

TrainState read_state(const JsonRef& json) {
  TrainState state;
  TrainResult& r = state.result;
  r.steps = json.at("step").integer(1, most);
  state.position = static_cast<std::uint64_t>(count(json, "position"));
  state.updates = count(json, "updates");
  r.learning_steps = count(json, "learning_steps");
  r.tokens = count(json, "tokens");
  r.supervised_tokens = count(json, "supervised_tokens");
  r.seconds = json.at("seconds").number(0, largest);
  if (auto loss = json.find("loss")) r.loss = loss->number(-largest, largest);
  state.evaluated = count(json, "evaluated");
  if (auto eval = json.find("eval")) r.eval = read_eval(*eval);
  if (auto best = json.find("best")) r.best = {count(*best, "step"), best->at("loss").number(-largest, largest)};
  state.evaluations_since_best = count(json, "evaluations_since_best");
  r.early_stopped = json.at("early_stopped").boolean();
  return state;
}

}  // namespace loragrad
