#include "train/trainer.h"

#include <fmt/format.h>

#include <chrono>
#include <cmath>
#include <limits>
#include <map>
#include <utility>

#include "engine/error.h"
#include "engine/random.h"
#include "lora/loraplus.h"
#include "ops/l2_norm.h"
#include "optim/adamw.h"
#include "optim/clip.h"
#include "train/first_step.h"
#include "train/not_finite.h"
#include "train/process_memory.h"
#include "train/step.h"

namespace loragrad {
namespace {

using Clock = std::chrono::steady_clock;
using NamedTensors = std::vector<std::pair<std::string, Tensor>>;

std::vector<Tensor> tensors_of(const NamedTensors& named) {
  std::vector<Tensor> tensors;
  for (const auto& [name, tensor] : named) tensors.push_back(tensor);
  return tensors;
}

StateTensor in_state(const std::string& name, const Tensor& tensor) {
  return {name, tensor.shape(), [tensor] { return tensor.values<float>(); }};
}

/// A state's tensors by their names, to be taken one by one.
class StateTensors {
 public:
  explicit StateTensors(const TrainState& state) {
    for (const auto* tensors : {&state.trained, &state.moments})
      for (const StateTensor& tensor : *tensors) by_name_[tensor.name] = &tensor;
  }
  /// InputError where it has another shape; null where there is none.
  const StateTensor* take(const std::string& name, Shape shape) {
    auto found = by_name_.find(name);
    if (found == by_name_.end()) return nullptr;
    const StateTensor* tensor = found->second;
    by_name_.erase(found);
    if (tensor->shape != shape)
      throw InputError(
          fmt::format("resume: {}: expected {}, found {} in the checkpoint", name, shape.text(), tensor->shape.text()));
    return tensor;
  }
  /// InputError where one is left.
  void require_none_left() const {
    if (!by_name_.empty())
      throw InputError(fmt::format("resume: expected tensors that are trained here, found {} in the checkpoint",
                                   by_name_.begin()->first));
  }

 private:
  std::map<std::string, const StateTensor*> by_name_;
};

/// One training run.
class Run {
 public:
  Run(const CausalLm& model, const Adapter* adapter, const Dataset& data, const TrainOptions& options,
      const Dataset* eval_data, const TrainObserver& observer, const std::vector<WeightedAdapter>& eval_adapters,
      const TrainState* from)
      : model_(model),
        data_(data),
        eval_data_(eval_data),
        options_(options),
        observer_(observer),
        adapters_(adapter ? model.activate(*adapter) : ActiveAdapters()),
        eval_adapters_(adapters_in_evaluation(model, adapter, eval_adapters)),
        named_(adapter ? adapter->tensors() : model.trainable()),
        trained_(tensors_of(named_)),
        optimizer_(trained_, {options.beta1, options.beta2, options.eps, options.weight_decay},
                   adapter ? loraplus_ratios(*adapter, options.loraplus_ratio, options.lr) : std::vector<double>()),
        stream_(row_stream(options, data.rows.size())),
        total_(options.total_steps(static_cast<std::int64_t>(data.rows.size()), from)) {
    if (trained_.empty()) throw UsageError("train: expected an adapter or a trainable model, found neither");
    if (adapter) proof_.emplace(*adapter);
    if (from) restore(*from);
  }

  TrainResult operator()() {
    if (is_evaluated(result_.steps) && evaluated_ < result_.steps) evaluate_now();
    while (!has_ended()) {
      StepReport report = step(result_.steps);
      ++result_.steps;
      result_.tokens += report.tokens;
      result_.supervised_tokens += report.supervised_tokens;
      result_.seconds += report.seconds;
      result_.device_peak_bytes = report.device_peak_bytes;
      if (report.updated) result_.loss = report.loss;
      if (report.updated && report.lr > 0) ++result_.learning_steps;
      if (observer_.on_step) observer_.on_step(report);
      result_.stopped = stop_asked();
      if (!result_.stopped && is_evaluated(result_.steps)) evaluate_now();
      if (observer_.after_step) observer_.after_step({result_.steps, has_ended(), [this] { return state(); }});
    }
    return result_;
  }

 private:
  bool has_ended() const { return result_.steps >= total_ || result_.stopped || result_.early_stopped; }
  bool is_evaluated(std::int64_t step) const {
    return eval_data_ && step > 0 && (step == total_ || (options_.eval_every > 0 && step % options_.eval_every == 0));
  }

  TrainState state() const {
    TrainState state;
    state.result = result_;
    state.position = stream_.position();
    state.updates = optimizer_.steps();
    state.evaluated = evaluated_;
    state.evaluations_since_best = evaluations_since_best_;
    for (std::size_t i = 0; i < named_.size(); ++i) {
      const auto& [name, tensor] = named_[i];
      state.trained.push_back(in_state(name, tensor));
      auto [m, v] = optimizer_.moments(i);
      if (!m.defined()) continue;
      state.moments.push_back(in_state(name + first_moment, m));
      state.moments.push_back(in_state(name + second_moment, v));
    }
    return state;
  }

  void restore(const TrainState& from) {
    StateTensors tensors(from);
    std::vector<AdamW::Moments> moments;
    for (auto& [name, tensor] : named_) {
      Shape shape = tensor.shape();
      const StateTensor* values = tensors.take(name, shape);
      if (!values) throw InputError("resume: expected " + name + " in the checkpoint, found none");
      tensor.set_values(values->values());
      const StateTensor *m = tensors.take(name + first_moment, shape), *v = tensors.take(name + second_moment, shape);
      if (!m != !v) throw InputError("resume: expected two moments of " + name + " in the checkpoint, found one");
      auto on_device = [&shape, device = tensor.device()](const StateTensor& moment) {
        return Tensor::from(device, shape, moment.values());
      };
      moments.push_back(m ? AdamW::Moments{on_device(*m), on_device(*v)} : AdamW::Moments{});
    }
    tensors.require_none_left();
    optimizer_.restore(from.updates, moments);
    stream_.seek(from.position);
    result_ = from.result;
    evaluated_ = from.evaluated;
    evaluations_since_best_ = from.evaluations_since_best;
    result_.stopped = false;
    result_.early_stopped = stops_early();
    // The step that it asks for has been.
    if (result_.learning_steps > 0) proof_.reset();
  }

  StepReport step(std::int64_t t) {
    Clock::time_point start = Clock::now();
    StepRows rows;
    for (std::size_t i : stream_.next(static_cast<std::size_t>(options_.rows_per_step())))
      rows.push_back(&data_.rows[i]);
    StepReport report;
    report.step = t + 1;
    report.lr = options_.lr * schedule_factor(options_.schedule, t, options_.warmup_steps, total_);
    PassOptions passes{.rows_at_once = options_.rows_at_once(),
                       .tokens_at_once = options_.max_tokens_per_batch,
                       .dropout_key = mix(options_.seed, static_cast<std::uint64_t>(report.step)),
                       .recompute = options_.checkpoint_activations,
                       .adapters = adapters_,
                       .on_phase = observer_.on_phase};
    StepLoss found = accumulate_gradients(model_, rows, passes);
    report.updated = found.supervised > 0;
    if (report.updated) {
      if (observer_.on_phase) observer_.on_phase(StepPhase::update);
      // The one time that a step waits for the device: the update needs no number of it on the host.
      Tensor numbers = Tensor::empty(model_.device(), {1, 3}, DType::f64);
      Device& device = *model_.device();
      device.kernels().accumulate(device, {found.sum.matrix(), 1, numbers.cols(0, 1).mutable_matrix(), 0});
      clip_gradients(trained_, options_.clip, numbers.cols(1, 2));
      std::vector<double> values = numbers.values<double>();
      report.loss = values[0] / static_cast<double>(found.supervised);
      report.grad_norm = values[1];
      if (!std::isfinite(report.loss) || !std::isfinite(report.grad_norm)) refuse(report, rows, passes);
      update(report, rows, numbers.cols(2, 1));
    }
    report.tokens = found.tokens;
    report.supervised_tokens = found.supervised;
    report.seconds = std::chrono::duration<double>(Clock::now() - start).count();
    report.tokens_per_s = found.computed > 0 ? static_cast<double>(found.computed) / report.seconds
                                             : std::numeric_limits<double>::quiet_NaN();
    report.peak_bytes = peak_resident_bytes();
    const Device& device = *model_.device();
    if (!device.shares_host_memory()) report.device_peak_bytes = device.footprint() + device.run_bytes({});
    return report;
  }

  void update(const StepReport& report, const StepRows& rows, const Tensor& clip_factor) {
    bool prove = proof_ && report.lr > 0;
    if (prove) proof_->before_update(rows);
    optimizer_.step(report.lr, clip_factor);
    if (prove) {
      proof_->after_update();
      if (proof_->is_complete()) proof_.reset();
    }
    for (Tensor& tensor : trained_) tensor.clear_grad();
  }

  /// Nothing has been updated: the pass that went wrong can be run again, and looked into.
  [[noreturn]] void refuse(const StepReport& report, const StepRows& rows, const PassOptions& passes) const {
    std::string place;
    if (!std::isfinite(report.loss)) place = where_not_finite(model_, rows, passes);
    for (const auto& [name, tensor] : named_) {
      if (!place.empty()) break;
      // Both tensors of a module go by the module's name.
      if (tensor.grad().defined() && !is_finite(tensor.grad()))
        place = "the first module whose gradient is not: " + name.substr(0, name.find(".lora_"));
    }
    if (place.empty()) place = "every part of both is finite";
    // A NaN may have a sign, which says nothing.
    auto plain = [](double x) { return std::isnan(x) ? std::fabs(x) : x; };
    throw NumericError(fmt::format("step {}: expected a finite loss and gradient norm, found {} and {}; {}",
                                   report.step, plain(report.loss), plain(report.grad_norm), place));
  }

  void evaluate_now() {
    EvalOptions evaluation{.tokens_per_batch = options_.eval_tokens_at_once(), .adapters = eval_adapters_};
    evaluation.stop = [this] { return result_.stopped = stop_asked(); };
    EvalReport report = evaluate(model_, *eval_data_, evaluation);
    // An evaluation cut short is not one of the whole data set.
    if (result_.stopped) return;
    result_.eval = report;
    evaluated_ = result_.steps;
    if (observer_.on_eval) observer_.on_eval(result_.steps, report);
    // A loss that is no number is never lower.
    if (report.not_finite.empty() && (!result_.best || report.loss < result_.best->loss)) {
      result_.best = {result_.steps, report.loss};
      evaluations_since_best_ = 0;
      if (observer_.on_best) observer_.on_best(*result_.best);
    } else {
      ++evaluations_since_best_;
    }
    result_.early_stopped = stops_early();
  }

  bool stops_early() const {
    return options_.early_stop > 0 && evaluations_since_best_ >= options_.early_stop && result_.steps < total_;
  }

  bool stop_asked() const { return observer_.stop && observer_.stop(); }

  const CausalLm& model_;
  const Dataset& data_;
  const Dataset* eval_data_;
  const TrainOptions& options_;
  const TrainObserver& observer_;
  ActiveAdapters adapters_, eval_adapters_;
  NamedTensors named_;
  std::vector<Tensor> trained_;
  AdamW optimizer_;
  RowStream stream_;
  std::int64_t total_;
  std::optional<FirstStepProof> proof_;
  TrainResult result_;
  std::int64_t evaluated_ = 0, evaluations_since_best_ = 0;
};

}  // namespace

ActiveAdapters adapters_in_evaluation(const CausalLm& model, const Adapter* trained,
                                      const std::vector<WeightedAdapter>& named) {
  std::vector<WeightedAdapter> all = named;
  if (trained) all.push_back({*trained, 1, ""});
  return model.activate(all);
}

RowStream row_stream(const TrainOptions& options, std::size_t rows) {
  std::optional<std::uint64_t> end;
  if (!options.steps) end = static_cast<std::uint64_t>(options.epochs) * rows;
  return {rows, options.shuffle, options.seed, end};
}

TrainResult train(const CausalLm& model, const Adapter* adapter, const Dataset& data, const TrainOptions& options,
                  const Dataset* eval_data, const TrainObserver& observer,
                  const std::vector<WeightedAdapter>& eval_adapters, const TrainState* from) {
  options.check();
  options.highest_lr(static_cast<std::int64_t>(data.rows.size()));
  return Run(model, adapter, data, options, eval_data, observer, eval_adapters, from)();
}

}  // namespace loragrad
