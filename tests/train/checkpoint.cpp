#include "train/checkpoint.h"

#include <unistd.h>

#include <cmath>
#include <limits>

#include "lora/files/adapter_file.h"
#include "models/trained_parameters.h"
#include "models/trained_rows.h"
#include "tests/train/support.h"

using namespace loragrad;
using namespace loragrad::test;

namespace fs = std::filesystem;

namespace {

/// A run that can be left and gone on with: the same model and adapter whenever it is asked for.
struct Runs {
  TinyModel folder{with_biases()};
  Dataset data = tiny_data(13), eval_data = tiny_data(3, 8);
  TrainOptions options{.lr = 1e-2, .batch_size = 2, .grad_accum = 2, .steps = 9};
  LoraConfig config = lora_config({"q_proj", "v_proj"}, 0.2);
  bool full = false;

  /// Attention with biases, which may be trained too.
  static std::string with_biases() {
    std::string text = tiny_llama;
    return text.replace(text.find("\"torch_dtype\""), 0, "\"attention_bias\": true, ");
  }

  struct Outcome {
    std::vector<std::vector<float>> trained;
    std::vector<std::string> rows;  ///< of the steps, without what time and memory say
    std::vector<std::int64_t> evaluations;
    TrainResult result;
  };

  Outcome run(const std::function<void(const TrainPoint&, const Adapter*)>& after_step = {},
              const TrainState* from = nullptr, int threads = 1) const {
    std::unique_ptr<CausalLm> model =
        load_model(folder.path(), test_device(threads), {.precision = Precision::f32, .trainable = full});
    std::optional<Adapter> adapter;
    if (!full) {
      // Another start than the run's, where the checkpoint's values have to come from the checkpoint.
      adapter = make_adapter(model->device(), config, model->adaptable_shapes(),
                             from && !changes_base(config.init_lora_weights) ? 99 : 7);
      adapter->parameters_of_base = parameters_to_train(*model, config, adapter->modules);
      adapter->rows_of_base = rows_to_train(*model, config, adapter->modules);
      put_parameters(*model, *adapter);
    }
    const Adapter* trained = adapter ? &*adapter : nullptr;
    Outcome outcome;
    TrainObserver observer;
    observer.on_step = [&](StepReport report) {
      report.seconds = report.tokens_per_s = 0;
      outcome.rows.push_back(fmt_row(report));
    };
    observer.on_eval = [&](std::int64_t step, const EvalReport&) { outcome.evaluations.push_back(step); };
    if (after_step) observer.after_step = [&](const TrainPoint& point) { after_step(point, trained); };
    outcome.result = train(*model, trained, data, options, &eval_data, observer, {}, from);
    for (const auto& [name, tensor] : trained ? trained->tensors() : model->trainable())
      outcome.trained.push_back(tensor.values<float>());
    return outcome;
  }

  static std::string fmt_row(const StepReport& r) {
    std::ostringstream text;
    text << std::hexfloat << r.step << ' ' << r.loss << ' ' << r.lr << ' ' << r.grad_norm << ' ' << r.tokens << ' '
         << r.supervised_tokens << ' ' << r.updated;
    return text.str();
  }

  /// The checkpoint that the run leaves after a step, there and back through its files.
  Checkpoint at(std::int64_t step, const std::string& checkpoints) const {
    run([&](const TrainPoint& point, const Adapter* adapter) {
      if (point.step != step) return;
      CheckpointToWrite checkpoint{point.state(), {}, std::nullopt, "test"};
      if (adapter) checkpoint.adapter = adapter_to_write(*adapter);
      checkpoint.state.copy_values();
      write_checkpoint(checkpoint, checkpoints, 2);
    });
    return open_checkpoint(checkpoint_folder(checkpoints, step));
  }

  void check_exact(std::initializer_list<std::int64_t> steps) const {
    Outcome whole = run();
    for (std::int64_t step : steps) {
      CAPTURE(step);
      TempFolder place;
      Checkpoint left = at(step, place / "c");
      Outcome rest = run({}, &left.state, 2);
      CHECK(rest.trained == whole.trained);
      CHECK(rest.rows == std::vector(whole.rows.begin() + step, whole.rows.end()));
      CHECK(rest.result.steps == whole.result.steps);
      CHECK(rest.result.tokens == whole.result.tokens);
      CHECK(rest.result.learning_steps == whole.result.learning_steps);
      CHECK(rest.result.eval->loss == whole.result.eval->loss);
      CHECK(rest.result.best->step == whole.result.best->step);
      CHECK(rest.result.early_stopped == whole.result.early_stopped);
    }
  }
};

}  // namespace

TEST_CASE("a run that goes on from a checkpoint is the run that was not left, bit for bit") {
  Runs runs;
  SUBCASE("linear, in the middle of an epoch") { runs.check_exact({1, 5, 8, 9}); }
  SUBCASE("cosine with a warm-up, evaluated") {
    runs.options.schedule = ScheduleKind::cosine;
    runs.options.warmup_steps = 3;
    runs.options.eval_every = 2;
    runs.check_exact({1, 2, 5});
  }
  SUBCASE("epochs, the last step short; in the file's order") {
    runs.options.steps.reset();
    runs.options.epochs = 2;
    runs.options.shuffle = false;
    runs.check_exact({3, 6});
  }
  SUBCASE("stopped early") {
    runs.options.schedule = ScheduleKind::constant;
    runs.options.lr = 0;  // so that no evaluation is lower than the first
    runs.options.eval_every = 1;
    runs.options.early_stop = 3;
    CHECK(runs.run().result.steps == 4);
    runs.check_exact({1, 2, 3});
  }
  SUBCASE("checkpointed blocks, micro-batches by tokens, decay, LoRA+") {
    runs.options.checkpoint_activations = true;
    runs.options.max_tokens_per_batch = 15;
    runs.options.weight_decay = 0.1;
    runs.options.loraplus_ratio = 4;
    runs.check_exact({4});
  }
  SUBCASE("DoRA") {
    runs.config.use_dora = true;
    runs.check_exact({4});
  }
  SUBCASE("lora_bias and rsLoRA") {
    runs.config.lora_bias = runs.config.use_rslora = true;
    runs.check_exact({4});
  }
  SUBCASE("a start that changes the base") {
    for (LoraInit init : {LoraInit::pissa, LoraInit::olora}) {
      runs.config.init_lora_weights = init;
      runs.check_exact({4});
    }
  }
  SUBCASE("parameters of the base beside it, whose file has them in bf16") {
    runs.config.bias = TrainedBias::all;
    runs.config.modules_to_save = {"lm_head"};
    runs.check_exact({4});
  }
  SUBCASE("an embedding, and rows of one") {
    runs.config.target_modules = {"embed_tokens", "v_proj"};
    runs.check_exact({4});
    runs.config.target_modules = {"q_proj"};
    runs.config.trainable_token_indices = {{"", {5, 3, 20}}};
    runs.check_exact({4});
  }
  SUBCASE("a head") {
    runs.config.target_modules = {"lm_head", "v_proj"};
    runs.check_exact({4});
  }
  SUBCASE("all parameters") {
    runs.full = true;
    runs.check_exact({4});
  }
}

TEST_CASE("an evaluation that was cut short is made up for") {
  Runs runs;
  runs.options.eval_every = 3;
  Runs::Outcome whole = runs.run();
  TempFolder place;
  Checkpoint left = runs.at(6, place / "c");
  CHECK(left.state.evaluated == 6);
  // As a signal between the step and the end of its evaluation leaves it.
  Checkpoint before = runs.at(5, place / "c");
  left.state.evaluated = before.state.evaluated;
  left.state.result.best = before.state.result.best;
  left.state.evaluations_since_best = before.state.evaluations_since_best;
  Runs::Outcome rest = runs.run({}, &left.state);
  CHECK(rest.trained == whole.trained);
  CHECK(rest.result.best->loss == whole.result.best->loss);
  CHECK(whole.evaluations == std::vector<std::int64_t>{3, 6, 9});
  CHECK(rest.evaluations == std::vector<std::int64_t>{6, 9});
}

TEST_CASE("more steps than before follow the new number; a short last step takes nothing from them") {
  Runs runs;
  runs.options.steps.reset();
  TempFolder place;
  Checkpoint left = runs.at(4, place / "c");
  CHECK(left.state.position == 13);
  runs.options.epochs = 2;
  CHECK(runs.options.total_steps(13) == 7);
  CHECK(runs.options.total_steps(13, &left.state) == 8);
  CHECK(runs.run({}, &left.state).result.steps == 8);
}

TEST_CASE("copied values are those of their step") {
  Runs runs;
  std::vector<float> then;
  TrainState copied;
  runs.run([&](const TrainPoint& point, const Adapter* adapter) {
    if (point.step != 2) return;
    then = values_of(*adapter);
    copied = point.state();
    copied.copy_values();
  });
  std::vector<float> later;
  for (const StateTensor& tensor : copied.trained)
    for (float value : tensor.values()) later.push_back(value);
  CHECK(later == then);
  CHECK(copied.trained.front().values().empty());
}

TEST_CASE("a checkpoint is an adapter to everyone else") {
  Runs runs;
  runs.config.init_lora_weights = LoraInit::pissa;
  TempFolder place;
  std::unique_ptr<CausalLm> model = load_model(runs.folder.path(), test_device(1));
  Checkpoint left = runs.at(4, place / "c");
  Adapter read = load_adapter(left.folder, model->device(), model->linear_shapes(), false);
  CHECK(read.config.r == 6);
}

TEST_CASE("what is not as it was written is not read") {
  Runs runs;
  runs.options.steps = 4;
  TempFolder place;
  std::string checkpoints = place / "c";
  runs.at(2, checkpoints);
  runs.at(4, checkpoints);
  std::string newest = checkpoint_folder(checkpoints, 4);
  std::vector<std::string> warnings;
  CHECK(newest_checkpoint(checkpoints, warnings)->state.result.steps == 4);
  CHECK(warnings.empty());
  for (const char* name :
       {"manifest.json", "state.json", "optimizer.safetensors", "adapter_config.json", "adapter_model.safetensors"}) {
    CAPTURE(name);
    std::string file = newest + "/" + name, good = get(file);
    auto check_refused = [&] {
      warnings.clear();
      CHECK_THROWS_AS(open_checkpoint(newest), Error);
      CHECK(newest_checkpoint(checkpoints, warnings)->state.result.steps == 2);
      REQUIRE(warnings.size() == 1);
      CHECK(contains(warnings[0], file.c_str()));
    };
    std::string bad = good;
    bad[good.size() / 2] = static_cast<char>(bad[good.size() / 2] ^ 1);
    // A flip in the manifest is seen where it changes what it says.
    if (std::string(name) == "manifest.json") bad = good.substr(0, good.find("\"bytes\"")) + "\"bites\": 1}}}";
    put(file, bad);
    check_refused();
    put(file, good.substr(0, good.size() - 1));
    if (std::string(name) != "manifest.json") check_refused();  // its last byte ends a line
    put(file, "");
    check_refused();
    fs::remove(file);
    check_refused();
    put(file, good);
  }
  CHECK(open_checkpoint(newest).state.result.steps == 4);
  for (std::int64_t step : {2, 4}) fs::remove(checkpoint_folder(checkpoints, step) + "/manifest.json");
  CHECK(contains(message_of<InputError>([&] { newest_checkpoint(checkpoints, warnings); }),
                 "expected a checkpoint that is whole, found 2 damaged"));
  CHECK_FALSE(newest_checkpoint(place / "none", warnings).has_value());
}

TEST_CASE("the newest stay, and those of a run that was given up go") {
  Runs runs;
  runs.options.steps = 5;
  TempFolder place;
  auto write = [&](std::int64_t wanted, std::size_t keep) {
    runs.run([&](const TrainPoint& point, const Adapter* adapter) {
      if (point.step == wanted)
        write_checkpoint({point.state(), {}, adapter_to_write(*adapter), "test"}, place / "c", keep);
    });
  };
  using Steps = std::vector<std::int64_t>;
  for (std::int64_t step : {1, 2, 3}) write(step, 1);
  CHECK(checkpoint_steps(place / "c") == Steps{2, 3});
  write(4, 9);
  write(5, 9);
  CHECK(checkpoint_steps(place / "c") == Steps{2, 3, 4, 5});
  fs::create_directory(place / "c/step-007");
  fs::create_directory(place / "c/step-x");
  write(3, 9);
  CHECK(checkpoint_steps(place / "c") == Steps{2, 3});
  CHECK(fs::exists(place / "c/step-007"));
  for (const auto& entry : fs::directory_iterator(place / "c"))
    CHECK_FALSE(entry.path().filename().string().starts_with("."));
}

TEST_CASE("a checkpoint of other tensors, or with NaN, is refused") {
  Runs runs;
  TempFolder place;
  Checkpoint left = runs.at(4, place / "c");
  runs.config.r = 5;
  CHECK(contains(message_of<InputError>([&] { runs.run({}, &left.state); }), "expected [5, 16], found [3, 16]"));
  runs.config.r = 3;
  runs.config.target_modules = {"q_proj"};
  CHECK(contains(message_of<InputError>([&] { runs.run({}, &left.state); }), "v_proj.lora_A.weight in the checkpoint"));
  runs.config.target_modules = {"q_proj", "k_proj"};
  CHECK(contains(message_of<InputError>([&] { runs.run({}, &left.state); }),
                 "k_proj.lora_A.weight in the checkpoint, found none"));
  StateTensor& tensor = left.state.trained.front();
  std::vector<float> values = tensor.values();
  values.back() = std::numeric_limits<float>::quiet_NaN();
  tensor.values = [values] { return values; };
  CHECK(contains(message_of<NumericError>([&] {
                   write_checkpoint({left.state, {}, {}, "test"}, place / "d", 2);
                 }),
                 "expected finite numbers to save"));
  CHECK(checkpoint_steps(place / "d").empty());
  CHECK(fs::is_empty(place / "d"));
}

TEST_CASE("an old checkpoint that stays is told, and the new one is there") {
  TempFolder folder;
  std::string checkpoints = folder / "c";
  auto write = [&](std::int64_t step) {
    CheckpointToWrite checkpoint{{}, {}, std::nullopt, "test"};
    checkpoint.state.result.steps = step;
    return write_checkpoint(checkpoint, checkpoints, 2);
  };
  for (std::int64_t step : {1, 2}) CHECK(write(step).empty());
  // It would be moved here first.
  std::string aside = checkpoints + "/.step-1.old-" + std::to_string(::getpid());
  put(aside, "in the way");
  std::vector<std::string> complaints = write(3);
  CHECK(checkpoint_steps(checkpoints) == std::vector<std::int64_t>{1, 2, 3});
  CHECK(open_checkpoint(checkpoint_folder(checkpoints, 3)).state.result.steps == 3);
  REQUIRE(complaints.size() == 1);
  CHECK(contains(complaints[0], "step-1: cannot write: "));
  CHECK(contains(complaints[0], "; the checkpoint of step 1 is not needed any more, and stays"));
  fs::remove(aside);
  CHECK(write(4).empty());
  CHECK(checkpoint_steps(checkpoints) == std::vector<std::int64_t>{3, 4});
}
