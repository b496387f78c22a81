#include "train/output.h"

#include <functional>

#include "io/json.h"
#include "io/safetensors.h"
#include "lora/files/adapter_file.h"
#include "tests/train/support.h"
#include "train/metrics.h"
#include "train/model_card.h"

using namespace loragrad;
using namespace loragrad::test;

namespace fs = std::filesystem;

namespace {

CardFacts facts() {
  CardFacts f;
  f.base_model = "some-org/tiny: \"llama\"";
  f.data = "some/where/rows.jsonl";
  f.eval_data = "valid/";
  f.rows = 13;
  f.supervised_tokens = 77;
  f.seq_len = 64;
  f.trainable = 288;
  f.parameters = 5000;
  f.options.lr = 3e-3;
  f.result.steps = 9;
  f.result.tokens = 900;
  f.result.seconds = 61;
  f.result.loss = 1.23456;
  f.result.eval = EvalReport{2, 7.389, 50, 60, 5, 1};
  return f;
}

}  // namespace

TEST_CASE("an adapter folder is complete, and is read back as it was") {
  TinyModel folder;
  std::unique_ptr<CausalLm> model = load_model(folder.path(), test_device(1));
  LoraConfig config = lora_config({"q_proj", "v_proj"});
  Adapter adapter = make_adapter(model->device(), config, model->linear_shapes(), 1);
  adapter.base_model = folder.path();
  std::string path = folder / "out";
  {
    OutputFolder output(path, false);
    put(output.file("metrics.jsonl"), "{}\n");
    output.save_adapter(adapter, model_card(facts(), &adapter));
    CHECK_FALSE(fs::exists(path));
    output.commit();
  }
  std::set<std::string> names;
  for (const auto& entry : fs::directory_iterator(path)) names.insert(entry.path().filename().string());
  CHECK(names ==
        std::set<std::string>{"README.md", "adapter_config.json", "adapter_model.safetensors", "metrics.jsonl"});
  Adapter again = load_adapter(path, model->device(), model->linear_shapes(), false);
  CHECK(values_of(again) == values_of(adapter));
  CHECK(again.config.lora_alpha == 7);
}

TEST_CASE("only an earlier output is overwritten, and only when asked to") {
  TempFolder folder;
  std::string path = folder / "out";
  auto write = [&](bool overwrite, const std::string& name) {
    OutputFolder output(path, overwrite);
    put(output.file(name), "new");
    put(output.file("README.md"), "---\ntags:\n- loragrad\n---\n");
    output.commit();
  };
  fs::create_directory(path);
  write(false, "adapter_config.json");  // an empty folder is nobody's
  CHECK(contains(message_of<IoError>([&] { write(false, "adapter_config.json"); }),
                 "expected a folder that does not exist yet, found an earlier output"));
  write(true, "config.json");
  CHECK(fs::exists(path + "/config.json"));
  CHECK_FALSE(fs::exists(path + "/adapter_config.json"));

  put(path + "/thesis.tex", "years of work");
  CHECK(contains(message_of<IoError>([&] { write(true, "config.json"); }), "found thesis.tex in it"));
  CHECK(get(path + "/thesis.tex") == "years of work");
  fs::remove_all(path);
  fs::create_directory(path);
  put(path + "/README.md", "of something else");
  put(path + "/config.json", "{}");
  std::string other = "found neither a model card nor metrics of loragrad in it";
  for (bool overwrite : {true, false})
    CHECK(contains(message_of<IoError>([&] { write(overwrite, "config.json"); }), other.c_str()));
  // Metrics alone make it ours too; a folder among the files does not.
  put(path + "/metrics.jsonl", metrics_row({}) + "\n");
  write(true, "config.json");
  fs::create_directory(path + "/metrics.jsonl");
  CHECK(contains(message_of<IoError>([&] { write(true, "config.json"); }), "found metrics.jsonl in it"));
  fs::remove_all(path);
  put(path, "a file");
  CHECK_FALSE(message_of<IoError>([&] { write(true, "config.json"); }).empty());
  CHECK(get(path) == "a file");
  CHECK(folder.names() == std::set<std::string>{"out"});
}

TEST_CASE("what comes into an earlier output during the run stays") {
  TempFolder folder;
  std::string path = folder / "out", beside = path + ".new-" + std::to_string(::getpid());
  auto write = [&](bool overwrite, const std::function<void()>& meanwhile) {
    OutputFolder output(path, overwrite);
    put(output.file("README.md"), "---\ntags:\n- loragrad\n---\n");
    meanwhile();
    return output.commit();
  };
  CHECK(write(false, [] {}) == path);
  CHECK(write(true, [] {}) == path);
  CHECK(write(true, [&] { put(path + "/thesis.tex", "years of work"); }) == beside);
  CHECK(get(path + "/thesis.tex") == "years of work");
  CHECK(fs::exists(beside + "/README.md"));
  fs::remove_all(path);
  fs::remove_all(beside);
  CHECK(write(false, [&] { put(path, "a file"); }) == beside);
  CHECK(get(path) == "a file");
  CHECK(folder.names() == std::set<std::string>{"out", fs::path(beside).filename()});
}

TEST_CASE("a trained model is written as a checkpoint and loads again") {
  TinyModel folder;
  put(folder.path() + "/tokenizer.json", "{\"kept\": 1}");
  std::unique_ptr<CausalLm> model =
      load_model(folder.path(), test_device(1), {.precision = Precision::automatic, .trainable = true});
  Dataset data = tiny_data(4);
  train(*model, nullptr, data, {.lr = 1e-2, .steps = 3});
  {
    fs::create_directory(folder / "out");
    write_model(*model, folder.path(), folder / "out");
    put(folder / "out/README.md", model_card(facts(), nullptr));
  }
  std::unique_ptr<CausalLm> again = load_model(folder / "out", test_device(1));
  CHECK(evaluate(*again, data).loss == evaluate(*model, data).loss);
  CHECK(get(folder / "out/tokenizer.json") == "{\"kept\": 1}");
  Json config = read_json_file(folder / "out/config.json");
  CHECK(std::get<std::string>(config.find("torch_dtype")->value()) == "float32");
  StoredTensors file = open_safetensors(folder / "out/model.safetensors");
  CHECK(file.find("model.norm.weight")->shape == std::vector<std::int64_t>{16});
  CHECK(file.find("model.embed_tokens.weight")->shape == std::vector<std::int64_t>{32, 16});
  CHECK(file.find("lm_head.weight") == nullptr);
  CHECK(contains(get(folder / "out/README.md"), "AutoModelForCausalLM.from_pretrained(\"path/to/this/folder\")"));
}

TEST_CASE("a model card says what was done") {
  TinyModel folder;
  std::unique_ptr<CausalLm> model = load_model(folder.path(), test_device(1));
  Adapter adapter = tiny_adapter(*model, {"q_proj", "v_proj"});
  std::string card = model_card(facts(), &adapter);
  CHECK(card.starts_with("---\nbase_model: \"some-org/tiny: \\\"llama\\\"\"\nlibrary_name: peft\n"));
  for (const char* part :
       {"\n- \"base_model:adapter:some-org/tiny: \\\"llama\\\"\"\n- lora\n- loragrad\n---\n",
        "`rows.jsonl` (13 rows, 77 supervised tokens)", "9 steps, 900 tokens, 1m01s", "288 of 5000 parameters",
        "last step: 1.2346", "Loss on `valid`: 2.0000 (perplexity 7.39", "| rank, alpha, dropout | 3, 7, 0 |",
        "| learning rate | 0.003, linear schedule, 0 warm-up steps |", "(4 modules)", "PeftModel.from_pretrained(base"})
    CHECK(contains(card, part));
  CHECK(card.find("some/where") == std::string::npos);
  CardFacts stopped = facts();
  stopped.result.stopped = true;
  CHECK(contains(model_card(stopped, &adapter), "9 steps (interrupted)"));
}

TEST_CASE("a card of ours is known by its tag") {
  CHECK(is_our_card(model_card(facts(), nullptr)));
  CHECK(is_our_card(merged_card("some-org/tiny", {"a", "b:0.5"})));
  CHECK(contains(merged_card("some-org/tiny", {"x/a", "b:0.5"}), "- `a`\n- `b:0.5`\n"));
  for (const char* text :
       {"", "---", "- loragrad\n", "---\ntags:\n- other\n---\n\n- loragrad\n", "text\n---\n- loragrad\n---\n"})
    CHECK_FALSE(is_our_card(text));
}

TEST_CASE("the card of the best evaluation's adapter has that one's numbers alone") {
  CardFacts f = facts();
  f.result.best = TrainResult::Best{4, 1.5};
  f.result.early_stopped = true;
  f.which = CardFacts::Which::last;
  std::string last = model_card(f, nullptr);
  CHECK(contains(last, "9 steps (stopped early, as evaluations did not get better), 900 tokens, "));
  CHECK(contains(last, "`best/` has the one that had the lowest loss of all evaluations, 1.5000 after step 4."));
  CHECK(contains(last, "Loss on `valid`: 2.0000 (perplexity 7.39, 50 supervised tokens)."));
  f.which = CardFacts::Which::best;
  std::string best = model_card(f, nullptr);
  CHECK(contains(best, "Trained with loragrad on `rows.jsonl` (13 rows, 77 supervised tokens): 4 steps.\n"));
  CHECK(contains(best, "Loss on `valid`: 1.5000 (perplexity 4.48).\n"));
  for (const char* others : {"900 tokens", "9 steps", "1.2346", "2.0000", "stopped early"})
    CHECK_FALSE(contains(best, others));
}
